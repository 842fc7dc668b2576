"""Reading caches: comparisons of a large cache at random, prompts of Stable Diffusion 3.5's size, memory and bytes.

The tensors are random numbers of the right shapes, written by the cache's own writer. "plain" is how the first format
was read: every shard mapped, rows copied out of the maps into fresh memory. T5 token counts are drawn log-normally,
with a median of 33 and a mean near 40 of 128, as an assumption: prompts of a data set were not counted here. Times are
of processor and of the wall, in milliseconds a row, of rounds in turn; memory is of this process, read from the system:
resident (with mapped files) and anonymous (without).
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from benchmarks.measuring import timed_in_turn
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.data.batches import BatchPlan
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.data.cache.prompt_layout import PADDED, PromptLayout, packed, row_hashes
from dina_lrm.data.cache.row_buffers import RowBuffers
from dina_lrm.data.cache.shards import ShardedRows, StoredShard, write_shard

WORLD = BackboneConfig("sd3", "synthetic", depth=1, visual_taps=(1,), prompt_length=0)
LAYOUTS = {
    "padded": PADDED,
    "split": PromptLayout(short_tokens=77, short_width=2048),
    "split, ragged": PromptLayout(ragged=True, short_tokens=77, short_width=2048),
    "ragged": PromptLayout(ragged=True),
}
BATCH = 16


def main(words: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("pairs", 100_000), ("prompts", 240), ("rounds", 3), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args(words)
    with TemporaryDirectory() as place:
        comparisons(Path(place) / "cache", options)
    with TemporaryDirectory() as place:
        prompts(Path(place), options)


def comparisons(folder: Path, options: argparse.Namespace) -> None:
    """Random access to a cache of the bundled world."""
    world(options.pairs, options.seed).save(folder, WORLD)
    start = time.process_time()
    data = EncodedComparisons.load(folder, WORLD)
    print(f"{options.pairs} pairs: opened in {time.process_time() - start:.2f} s of processor", flush=True)
    random = np.random.default_rng(options.seed)
    order = torch.from_numpy(random.permutation(options.pairs))
    first = [batch for batch in order.split(64) if len(batch) == 64]
    for name in ("first epoch, rows compared with their hashes", "second epoch"):
        before, cpu, wall = memory(), time.process_time(), time.perf_counter()
        for batch in first:
            data.batch(batch)
        cpu, wall = (1000 * (now - then) / (64 * len(first)) for now, then in
                     ((time.process_time(), cpu), (time.perf_counter(), wall)))  # fmt: skip
        print(f"  {name}: {cpu:.3f} ms of processor a pair, {wall:.3f} ms; {grown(before)}", flush=True)


def world(pairs: int, seed: int) -> EncodedComparisons:
    """Comparisons of random latents, eight pictures a prompt, in shards of 4,096 rows."""
    generator = torch.Generator().manual_seed(seed)
    images, texts = pairs // 2, pairs // 16
    latents = torch.randn(images, 16, 8, 8, generator=generator).bfloat16()
    mask = torch.arange(16) < torch.randint(3, 17, (texts, 1), generator=generator)
    told = {
        "prompt_embeds": torch.randn(texts, 16, 192, generator=generator).bfloat16(),
        "pooled_prompt_embeds": torch.randn(texts, 192, generator=generator).bfloat16(),
        "prompt_mask": mask,
    }
    prompt = torch.randint(0, texts, (pairs,), generator=generator)
    sides = [8 * prompt + torch.randint(0, 8, (pairs,), generator=generator) for _ in "ab"]
    zero, nothing = torch.zeros(pairs, dtype=torch.long), [None] * pairs
    table = PairTable(torch.arange(pairs), prompt, zero, sides[0], zero, sides[1], torch.ones(pairs),
                      torch.ones(pairs), nothing, nothing, nothing)  # fmt: skip
    tables = [sharded({"latents": latents}), sharded(told)]
    return EncodedComparisons(tables[:1], tables[1], [f"prompt {n}" for n in range(texts)], [None] * texts, table)


def sharded(columns: dict[str, Tensor], rows: int = 4_096) -> ShardedRows:
    """Rows in memory, in shards."""
    parts = [
        dict(zip(columns, part, strict=True)) for part in zip(*(c.split(rows) for c in columns.values()), strict=True)
    ]
    return ShardedRows(parts, [len(next(iter(part.values()))) for part in parts])


def prompts(folder: Path, options: argparse.Namespace) -> None:
    """Prompts of 77 CLIP and 128 T5 tokens, 4096 wide; "ragged" has the T5 tokens alone, of a family that masks."""
    tables: dict[str, ShardedRows] = {}
    for name, layout in LAYOUTS.items():
        told, counts = conditioning(options.prompts, options.seed, name != "ragged", layout.ragged)
        tables[name] = stored(folder / name.replace(", ", "-"), told, layout)
        size = sum(path.stat().st_size for path in (folder / name.replace(", ", "-")).rglob("*.safetensors"))
        expected = formula(name, counts)
        whole = formula("padded", counts) if name != "ragged" else len(counts) * 128 * 4096 * 2
        print(
            f"{name}: {size} bytes, {size / expected - 1:+.3%} of the formula, {size / whole - 1:+.1%} of padded, "
            f"{counts.mean():.1f} T5 tokens in the mean",
            flush=True,
        )
    random = np.random.default_rng(options.seed + 1)
    picks = [torch.from_numpy(random.integers(0, options.prompts, BATCH)) for _ in range(12)]
    jobs: dict[str, Callable[[], object]] = {"plain, padded": lambda: plain(folder / "padded", picks)}
    for name, table in tables.items():
        for _ in table.shards():  # compared with their hashes once, before anything is timed
            pass
        jobs |= {
            f"{name}, fresh memory": lambda table=table: [table.rows(pick) for pick in picks],
            f"{name}, reused": lambda table=table: reading(table, picks, 1),
            f"{name}, reused, two threads": lambda table=table: reading(table, picks, 2),
        }
    found = timed_in_turn(jobs, options.rounds)
    rows = BATCH * len(picks)
    for name, timing in found.items():
        cpu = 1000 * float(np.median(timing.cpu_seconds)) / rows
        print(f"  {name}: {cpu:.2f} ms of processor a row, {1000 * timing.median / rows:.2f} ms", flush=True)
    epoch(tables["split"], folder / "padded", options)
    batches(folder, tables["split"], options)


def batches(folder: Path, table: ShardedRows, options: argparse.Namespace) -> None:
    """Batches as training reads them: 16 pairs of 512 pixels, four pictures a prompt, all in bfloat16 on the disk."""
    count = 4 * options.prompts
    latents = torch.randn(count, 16, 64, 64, generator=torch.Generator().manual_seed(options.seed)).bfloat16()
    shards = []
    for number, start in enumerate(range(0, count, 256)):
        shards.append(write_shard(folder / "pictures", f"{number:05d}", {"latents": latents[start : start + 256]}))
    rows = ShardedRows([StoredShard(folder / "pictures", info) for info in shards], [info.rows for info in shards],
                       np.array(row_hashes({"latents": latents}), dtype="S64"))  # fmt: skip
    first = torch.arange(count)
    second, zero, nothing = first // 4 * 4 + (first + 1) % 4, torch.zeros(count, dtype=torch.long), [None] * count
    ones = torch.ones(count)
    pairs = PairTable(first, first // 4, zero, first, zero, second, ones, ones, nothing, nothing, nothing)
    data = EncodedComparisons([rows], table, [""] * options.prompts, [None] * options.prompts, pairs)
    plan = BatchPlan(data.buckets, BATCH, options.seed, data.pairs.prompt)
    steps = range(16)
    for step in range(plan.first_step(1)):  # every row is compared with its hash once, before anything is timed
        data.batch(plan.batch(step))
    held = RowBuffers(), RowBuffers()
    jobs: dict[str, Callable[[], object]] = {
        "fresh memory": lambda: [len(data.batch(plan.batch(step))) for step in steps],
        "reused": lambda: [len(data.batch(plan.batch(step), into=held[step % 2])) for step in steps],
    }
    found = timed_in_turn(jobs, options.rounds)
    for name, timing in found.items():
        cpu = 1000 * float(np.median(timing.cpu_seconds)) / len(steps)
        wall = 1000 * timing.median / len(steps)
        print(
            f"  a batch of {BATCH} pairs, split prompts, {name}: {cpu:.0f} ms of processor, {wall:.0f} ms", flush=True
        )


def epoch(table: ShardedRows, padded: Path, options: argparse.Namespace) -> None:
    """Memory over one pass through all rows, in reused buffers and through maps."""
    picks = torch.randperm(options.prompts).split(BATCH)
    buffers, before = RowBuffers(), memory()
    table.rows(picks[0], buffers)
    begun = memory()
    for pick in picks:
        table.rows(pick, buffers)
    print(f"  an epoch of split prompts, reused: {grown(begun)} (buffers: {grown(before)})", flush=True)
    before = memory()
    maps = plain(padded, picks)
    print(f"  an epoch of padded prompts, plain: {grown(before)}, {len(maps)} maps kept", flush=True)


def conditioning(rows: int, seed: int, clip: bool, ragged: bool) -> tuple[Conditioning, np.ndarray]:
    """Random prompts and their T5 token counts."""
    random = np.random.default_rng(seed)
    counts = np.clip(np.round(np.exp(random.normal(np.log(33), 0.6, rows))), 3, 128).astype(np.int64)
    generator, short = torch.Generator().manual_seed(seed), 77 if clip else 0
    embeds = torch.randn(rows, short + 128, 4096, generator=generator).bfloat16()
    embeds[:, :short, 2048:] = 0
    long = torch.arange(128) < torch.from_numpy(counts)[:, None]
    if ragged:
        embeds[:, short:].masked_fill_(~long[..., None], 0)
    mask = torch.cat([torch.arange(short).expand(rows, -1) < 20, long], dim=1)
    return Conditioning(embeds, torch.randn(rows, 2048, generator=generator).bfloat16() if clip else None, mask), counts


def stored(folder: Path, told: Conditioning, layout: PromptLayout) -> ShardedRows:
    """The prompts as the writer lays them out, 80 to a shard."""
    infos, hashes = [], []
    for number, start in enumerate(range(0, len(told), 80)):
        columns = packed(told[start : start + 80], layout)
        infos.append(write_shard(folder, f"{number:05d}", columns))
        hashes += row_hashes(columns)
    shards = [StoredShard(folder, info) for info in infos]
    return ShardedRows(shards, [info.rows for info in infos], np.array(hashes, dtype="S64"))


def formula(name: str, counts: np.ndarray) -> int:
    """Bytes of section 2 of the format's description: states and pooled vectors, in bfloat16."""
    rows = len(counts)
    if name == "ragged":
        return int(counts.sum()) * 4096 * 2
    states = {"padded": rows * 205 * 4096, "split": rows * (77 * 2048 + 128 * 4096)}
    ragged = rows * 77 * 2048 + int(counts.sum()) * 4096
    return 2 * (states.get(name, ragged) + rows * 2048)


def plain(folder: Path, picks: Sequence[Tensor]) -> list[dict[str, Tensor]]:
    """The first format's way: maps of whole shards, and copies of their rows in fresh memory."""
    maps = []
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            maps.append({name: file.get_tensor(name) for name in file.keys()})
    ends = torch.tensor([len(part["prompt_embeds"]) for part in maps]).cumsum(0)
    for pick in picks:
        shard_of = torch.searchsorted(ends, pick, right=True)
        out: dict[str, Tensor] = {}
        for number in shard_of.unique().tolist():
            places = (shard_of == number).nonzero().flatten()
            local = pick[places] - (int(ends[number]) - len(maps[number]["prompt_embeds"]))
            for name, values in maps[number].items():
                out.setdefault(name, torch.empty((len(pick), *values.shape[1:]), dtype=values.dtype))
                out[name][places] = values[local]
    return maps


def reading(table: ShardedRows, picks: Sequence[Tensor], threads: int) -> None:
    """All picks, shared out over threads that have a buffer each."""

    def read(mine: Sequence[Tensor], buffers: RowBuffers) -> None:
        for pick in mine:
            table.rows(pick, buffers)

    workers = [
        threading.Thread(target=read, args=(picks[n::threads], _BUFFERS.setdefault(n, RowBuffers())))
        for n in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


_BUFFERS: dict[int, RowBuffers] = {}


def memory() -> dict[str, float]:
    """Resident and anonymous memory of this process in MiB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    told = {name: int(value.split()[0]) / 1024 for name, _, value in (line.partition(":") for line in lines)}
    return {"resident": told["Rss"], "anonymous": told["Anonymous"]}


def grown(before: dict[str, float]) -> str:
    """How much memory grew since."""
    return ", ".join(f"{name} {value - before[name]:+.0f} MiB" for name, value in memory().items())
