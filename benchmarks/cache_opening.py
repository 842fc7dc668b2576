"""Opening large caches: time and memory until the first batch can be asked for, by the number of comparisons.

The caches are written by the cache's own writer, with rows of a few numbers, in as many shards as pictures of 1024
pixels and prompts of Stable Diffusion 3.5 have (256 and 80 rows each): all that is measured depends on counts alone.
Each opening is in a process of its own. Times are of processor and of the wall; memory is that of the process beyond
what it had before, held and at most.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.cache_reading import WORLD, sharded
from benchmarks.measuring import peak_memory, resident
from dina_lrm.data.batches import BatchPlan
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import read_header
from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.data.cache.place import place_of
from dina_lrm.data.cache.tables import PAIRS_FILE, PROMPTS_FILE, read_columns, row_hashes

Found = dict[str, tuple[float, float, float, float]]
"""By what was done: seconds of processor and of the wall, MiB held and at most."""


def main(words: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    for pairs in options.pairs:
        with TemporaryDirectory() as place:
            folder, start = Path(place) / "cache", time.process_time()
            small(pairs, options.seed).save(folder, WORLD)
            header, seconds = read_header(folder), time.process_time() - start
            size = sum((folder / name).stat().st_size for name in header.tables) / 2**20
            print(f"{pairs} pairs: {len(header.shards)} shards, tables of {size:.0f} MiB, "
                  f"written in {seconds:.0f} s of processor", flush=True)  # fmt: skip
            rounds = [_alone(folder) for _ in range(options.rounds)]
            for name in rounds[0]:
                cpu, wall, held, most = (sorted(found[name][n] for found in rounds)[len(rounds) // 2] for n in range(4))
                print(f"  {name}: {cpu:.2f} s of processor, {wall:.2f} s, {held:+.0f} MiB held, "
                      f"{most:+.0f} MiB at most", flush=True)  # fmt: skip


def small(pairs: int, seed: int) -> EncodedComparisons:
    """As many pictures as comparisons, 5.3 a prompt; every comparison has a name."""
    draw = torch.Generator().manual_seed(seed)
    prompts = pairs * 3 // 16
    told = {
        "prompt_embeds": torch.randn(prompts, 2, 4, generator=draw).bfloat16(),
        "pooled_prompt_embeds": torch.randn(prompts, 4, generator=draw).bfloat16(),
        "prompt_mask": torch.ones(prompts, 2, dtype=torch.bool),
    }
    prompt = torch.arange(pairs) * prompts // pairs
    first, second = torch.arange(pairs), (torch.arange(pairs) + 1) % pairs
    zero, nothing = torch.zeros(pairs, dtype=torch.long), [None] * pairs
    names = [f"pair-{number:08d}" for number in range(pairs)]
    table = PairTable(torch.arange(pairs), prompt, zero, first, zero, second, torch.ones(pairs), torch.ones(pairs),
                      names, nothing, nothing)  # fmt: skip
    latents = torch.randn(pairs, 4, 1, 2, generator=draw).bfloat16()
    texts = [f"a photograph of the thing called {number}, in the light of an afternoon" for number in range(prompts)]
    tables = [sharded({"latents": latents}, 256)], sharded(told, 80)
    return EncodedComparisons(*tables, texts, [None] * prompts, table)


def opening(folder: Path) -> Found:
    """Open it whole; then its parts again, each alone."""
    found: Found = {}
    header = read_header(folder)

    def measured(name: str, job: object) -> object:
        assert callable(job)
        with peak_memory() as memory:
            cpu, wall = time.process_time(), time.perf_counter()
            made = job()
            took = time.process_time() - cpu, time.perf_counter() - wall
            held = resident() - memory.before
        found[name] = (*took, held, memory.added)
        return made

    data = measured("opened", lambda: EncodedComparisons.load(folder, WORLD))
    assert isinstance(data, EncodedComparisons)
    plan = measured("order of an epoch", lambda: BatchPlan(data.buckets, 64, 0, data.pairs.prompt))
    assert isinstance(plan, BatchPlan)
    measured("first batch", lambda: data.batch(plan.batch(0)))
    place = place_of(folder)
    measured("of opening: heads of shards", lambda: [place.rows(header.buckets[0].shards), place.rows(header.prompts)])
    measured("of opening: hashes of rows", lambda: row_hashes(folder, header))
    measured("of opening: columns", lambda: [read_columns(folder, name, header) for name in (PAIRS_FILE, PROMPTS_FILE)])
    return found


def _alone(folder: Path) -> Found:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(opening, (folder,))
