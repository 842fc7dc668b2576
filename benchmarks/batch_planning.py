"""What planning batches costs at a million pairs, against building every group of every epoch as an array of its own.

    OMP_NUM_THREADS=1 python -m benchmarks.batch_planning --pairs 1000000 --rounds 5

Seconds are those of the processor. The baseline is how batches were planned before; both give the same batches, which
is checked first. A resume at an epoch builds the plan and its batch, with and without the counts that a checkpoint
keeps.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

import numpy as np
import torch
from torch import Tensor

from dina_lrm.data.batches import BatchPlan
from dina_lrm.data.position import BatchPosition


def plain_epoch(kinds: np.ndarray, prompts: np.ndarray, size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch, a group of pairs at a time."""
    batches: list[np.ndarray] = []
    for kind in np.unique(kinds).tolist():
        pairs = np.flatnonzero(kinds == kind)
        pairs = pairs[np.argsort(prompts[pairs], kind="stable")]
        _, starts = np.unique(prompts[pairs], return_index=True)
        groups = np.split(pairs, starts[1:])
        order = np.random.default_rng([seed, epoch, kind + 1]).permutation(len(groups))
        groups = [groups[place] for place in order]
        cuts = _cuts([len(group) for group in groups], size)
        whole = np.concatenate(groups)
        if cuts and 2 * (len(whole) - cuts[-1]) < size:
            before = cuts[-2] if len(cuts) > 1 else 0
            cuts = [*cuts[:-1], before + (len(whole) - before + 1) // 2]
        batches += [whole[start:end] for start, end in pairwise([0, *cuts, len(whole)])]
    order = np.random.default_rng([seed, epoch]).permutation(len(batches))
    return [batches[place] for place in order]


def _cuts(sizes: list[int], limit: int) -> list[int]:
    cuts, start, position = [], 0, 0
    for size in sizes:
        end = position + size
        while end - start > limit:
            position = position if 2 * (position - start) >= limit else start + limit
            cuts.append(position)
            start = position
        position = end
    return cuts


def seconds(work: Callable[[], object], rounds: int) -> str:
    """Median, least and most processor seconds."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        found.append(1000 * (time.process_time() - start))
    return f"{median(found):.3f} ms ({min(found):.3f} to {max(found):.3f}, n = {rounds})"


def measure(kinds: Tensor, prompts: Tensor, size: int, late: int, rounds: int) -> dict[str, str]:
    """The rows of the table, for one set of pairs."""

    def plan() -> BatchPlan:
        return BatchPlan(kinds, size, 0, prompts)

    ready, plain = plan(), plain_epoch(kinds.numpy(), prompts.numpy(), size, 0, 1)
    first = ready.first_step(1)
    assert all(np.array_equal(ready.batch(first + n).numpy(), batch) for n, batch in enumerate(plain)), "other batches"
    step = ready.first_step(late) + 3
    position = BatchPosition.of(ready, step, "")
    tracemalloc.start()
    held = plan()
    held.batch(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    epochs = iter(range(10_000))
    return {
        "plan": seconds(plan, rounds),
        "an epoch, before": seconds(lambda: plain_epoch(kinds.numpy(), prompts.numpy(), size, 0, 1), rounds),
        "an epoch, now": seconds(lambda: ready._batches(next(epochs)), rounds),
        "next batch": seconds(lambda: ready.batch(step), 50),
        f"resume at epoch {late}, counted": seconds(lambda: plan().batch(step), 1),
        f"resume at epoch {late}, known": seconds(lambda: position.followed(plan(), "", "").batch(step), rounds),
        "most memory while planning": f"{peak / 2**20:.0f} MiB",
    }


def main(options: Sequence[str] | None = None) -> None:
    """Measure prompts of several pairs, eleven sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--prompts", type=int, default=200_000)
    parser.add_argument("--sizes", type=int, default=11)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epoch", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(options)
    generator = torch.Generator().manual_seed(given.seed)
    prompts = torch.randint(given.prompts, (given.pairs,), generator=generator)
    kinds = torch.randint(given.sizes, (given.pairs,), generator=generator)
    for name, value in measure(kinds, prompts, given.batch_size, given.epoch, given.rounds).items():
        print(f"{name:32s} {value}")


if __name__ == "__main__":
    main()
