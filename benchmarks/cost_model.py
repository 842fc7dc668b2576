"""What a million to a billion pictures take: the model's table and its plot, and what grows with the data, measured.

Tables come of `dina_lrm.profiling.scale`, which counts. Measured here are what counting cannot say: whether the files
of the real writer are as large as the formula; processor seconds, bytes on disk and memory of the plan of an encoding
and of the plan of batches, at two sizes, each in a process of its own.

    python -m benchmarks cost_model                                    all of it, a few minutes of a core
    python -m benchmarks cost_model --parts table --plot scaling.png   what is counted alone
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measuring import peak_memory, resident
from dina_lrm.backbones.conditioning import Conditioning, PromptShape
from dina_lrm.data.batches import BatchPlan
from dina_lrm.data.cache.format import BackboneIdentity, BucketShards, CacheHeader
from dina_lrm.data.cache.prompt_layout import PromptLayout, packed
from dina_lrm.data.cache.shards import write_shard
from dina_lrm.data.cache.tables import PAIRS_FILE, PROMPTS_FILE, Tables, read_columns, row_hashes, write_tables
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding.pictures import Looked
from dina_lrm.data.encoding.plan import PLAN, Plan
from dina_lrm.profiling.scale import Scale, ScaleSettings, scale
from dina_lrm.reports.drawing import drawing, save_figure
from dina_lrm.reports.theme import LIGHT

COUNTS: Final = (10**6, 10**7, 10**8, 10**9)
SIDES: Final = (512, 1024)
PARTS: Final = ("table", "files", "plan", "tables", "batches")
_SEED: Final = 0


def main(words: list[str]) -> None:
    """Count, measure, and print both."""
    parser = argparse.ArgumentParser(prog="cost_model", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--pictures", type=int, nargs="+", default=[100_000, 1_000_000], help="sizes that are measured")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(words)
    result: dict[str, Any] = {}
    if "table" in given.parts:
        found = {side: [scale(count, ScaleSettings(pixels=side)) for count in COUNTS] for side in SIDES}
        for side, rows in found.items():
            print(f"\n{side} px\n" + table(rows))
        result["table"] = [{"pixels": side, **asdict(row)} for side, rows in found.items() for row in rows]
        if given.plot is not None:
            save_figure(plot(found), given.plot)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; seed {_SEED}")
    if "files" in given.parts:
        result["files"] = _shown("files of the real writer", files())
    for name, measure in (("plan", plan_of), ("tables", tables_of), ("batches", batches_of)):
        for count in given.pictures if name in given.parts else ():
            result[f"{name} {count}"] = _shown(f"{name}, {count:,} pictures", _alone(measure, count))
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=1))


def table(rows: list[Scale]) -> str:
    """The rows of docs/scaling.md."""
    lines = ["| | " + " | ".join(_power(row.pictures) for row in rows) + " |", "|---" * (len(rows) + 1) + "|"]
    parts: dict[str, Callable[[Scale], str]] = {
        "files of the pictures": lambda row: _bytes(row.picture_file_bytes),
        "latents": lambda row: _bytes(row.latent_bytes),
        "prompts": lambda row: _bytes(row.prompt_bytes),
        "shards of 128 MiB": lambda row: f"{row.shards:,}",
        "GPU hours to encode": lambda row: _number(row.encode_hours),
        "GPU hours to score from files": lambda row: _number(row.score_hours),
        "GPU hours of an epoch": lambda row: _number(row.train_hours),
        "GPUs to encode in a day": lambda row: _number(max(1.0, row.encode_hours / 24)),
        "read by these, a second": lambda row: _bytes(row.read_a_second * max(1.0, row.encode_hours / 24)),
        "written by these, a second": lambda row: _bytes(row.written_a_second * max(1.0, row.encode_hours / 24)),
    }
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(map(told, rows)) + " |" for name, told in parts.items())])


def plot(found: dict[int, list[Scale]]) -> Figure:
    """Terabytes, and hours of a GPU for the largest side, over the number of pictures."""
    largest = found[max(found)]
    counts = [row.pictures for row in largest]
    terabytes = {f"cache, {side} px": [row.cache_bytes / 1e12 for row in found[side]] for side in sorted(found)[::-1]}
    terabytes["files of the pictures"] = [row.picture_file_bytes / 1e12 for row in largest]
    hours = {
        "epoch": [row.train_hours for row in largest],
        "score": [row.score_hours for row in largest],
        "encode": [row.encode_hours for row in largest],
    }
    with drawing(LIGHT):
        figure = Figure(figsize=(9.2, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        _lines(left, counts, terabytes, "TB")
        _lines(right, counts, hours, f"hours of an H100 at half its peak, {max(found)} px")
        return figure


def _lines(axes: Axes, counts: list[int], lines: dict[str, list[float]], label: str) -> None:
    for number, (name, values) in enumerate(lines.items()):
        axes.plot(counts, values, color=LIGHT.colour(number), marker="o", markersize=3, label=name)
    axes.set(xscale="log", yscale="log", xlabel="pictures", title=label)
    axes.set_xticks(counts, [f"{count / 1e6:,.0f} M" for count in counts])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.minorticks_off()
    axes.legend(frameon=False, loc="upper left")


def files() -> dict[str, float]:
    """Bytes of files of the real writer over those of the formula, at the shapes of Stable Diffusion 3.5 Medium."""
    draw = torch.Generator().manual_seed(_SEED)
    given, rows = ScaleSettings(), 64
    states = torch.randn(rows, 77 + given.tokens, 4096, generator=draw).to(torch.bfloat16)
    states[:, :77, 2048:] = 0
    pooled = torch.randn(rows, 2048, generator=draw).to(torch.bfloat16)
    mask = torch.arange(77 + given.tokens) < 77
    shape = PromptShape(77 + given.tokens, 4096, 2048)
    prompts = packed(Conditioning(states, pooled, mask.expand(rows, -1)), PromptLayout.of("sd3", given.tokens, shape))
    side = given.pixels // 8
    latents = {"latents": torch.randn(rows, 16, side, side, generator=draw).to(torch.bfloat16)}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, tensors, wanted in (
            ("prompts", prompts, given.prompt_bytes),
            ("latents", latents, given.latent_bytes),
        ):
            write_shard(Path(folder), name, tensors)
            found[name] = (Path(folder) / f"{name}.safetensors").stat().st_size / (rows * wanted)
    return found


def plan_of(pictures: int) -> dict[str, float]:
    """Plan an encoding of so many pictures in pairs, as `prepare` does but for the reading of files."""
    with tempfile.TemporaryDirectory() as folder, peak_memory() as memory:
        start, plan = time.process_time(), Plan(Path(folder), {})
        for number in range(pictures // 2):
            _plan_pair(plan, number)
            if number % 1024 == 0:
                plan.commit()
        plan.close_planning(pictures // 2, lambda bucket: (f"{bucket}/", 128))
        planned = time.process_time() - start
        tasks = len(plan.tasks())
        plan.close()
        size = (Path(folder) / PLAN).stat().st_size
    return {
        "microseconds a picture": 1e6 * planned / pictures,
        "bytes a picture": size / pictures,
        "memory added, MiB": memory.added,
        "tasks": tasks,
    }


def _plan_pair(plan: Plan, number: int) -> None:
    keys = tuple(f"bytes:{2 * number + side:064x}" for side in (0, 1))
    names = tuple(f"/data/pictures/{key[-12:]}.jpg" for key in keys)
    plan.knows(number, f"{number:032x}", (keys[0], keys[1]), (names[0], names[1]))
    for key, name in zip(keys, names, strict=True):
        if plan.picture(key) is None:
            plan.add_picture(key, Looked(name, (1024, 1024), name))
    prompt = f"a photograph of the thing called {number * 2 // 5}, in the light of a late afternoon"
    rows = tuple((0, plan.image_row(0, key)) for key in keys)
    comparison = Comparison(prompt, names[0], names[1], 1.0)
    plan.add_pair(number, comparison, plan.prompt_row(prompt), (rows[0], rows[1]))


def tables_of(pictures: int) -> dict[str, float]:
    """The tables of a cache of so many pictures, written, and what is read of them when it is opened."""
    prompts, pairs = pictures * 3 // 16, pictures // 2
    made_by = CacheHeader(
        BackboneIdentity("sd3", "a folder", None, 128), "bfloat16", 1024, (BucketShards(1024, 1024, ()),), ()
    )
    tables = Tables(
        pairs=((n, n * prompts // pairs, 0, 2 * n, 0, 2 * n + 1, 1.0, 1.0, None, None, None) for n in range(pairs)),
        prompts=((f"a photograph of the thing called {n}", None, 40, _hash(n)) for n in range(prompts)),
        missing=(),
        images=((0, n, f"{n:012d}.jpg", f"bytes:{_hash(n)}", 1024, 1024, _hash(n + 1)) for n in range(pictures)),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.process_time()
        header = write_tables(folder, made_by, tables)
        written = time.process_time()
        with peak_memory() as memory:
            columns = [read_columns(folder, table, header) for table in (PAIRS_FILE, PROMPTS_FILE)]
            hashes = row_hashes(folder, header)
            read, held = time.process_time(), resident() - memory.before
        assert hashes is not None and len(columns) == 2
        size = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "bytes a picture": size / pictures,
        "seconds to write": written - start,
        "seconds to read": read - written,
        "memory held, MiB": held,
        "memory at most, MiB": memory.added,
    }


def _hash(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def batches_of(pictures: int) -> dict[str, float]:
    """The order of an epoch of so many pictures in pairs, of three sizes."""
    pairs = pictures // 2
    buckets = torch.randint(0, 3, (pairs,), generator=torch.Generator().manual_seed(_SEED))
    prompts = torch.arange(pairs) * 2 // 5
    with peak_memory() as memory:
        start = time.process_time()
        plan = BatchPlan(buckets, 64, _SEED, prompts=prompts)
        plan.batch(0)
        seconds = time.process_time() - start
    return {"seconds to the first batch": seconds, "memory added, MiB": memory.added}


def _alone(measure: Callable[[int], dict[str, float]], count: int) -> dict[str, float]:
    """What `measure` finds in a process of its own, whose memory nothing else was in."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (count,))


def _shown(title: str, found: dict[str, float]) -> dict[str, float]:
    print(f"{title}: " + ", ".join(f"{name} {value:.6g}" for name, value in found.items()), flush=True)
    return found


def _power(count: int) -> str:
    return f"{count:,}"


def _bytes(value: float) -> str:
    for unit, size in _units():
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 1000 * size else f"{value / size:,.0f} {unit}"
    return f"{value:.0f} B"


def _units() -> Iterator[tuple[str, float]]:
    yield from (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
