"""Which comparisons are in which batch: a pure function of (seed, step), so that resuming needs no state.

An epoch is a random order of all pairs, cut into batches of one resolution bucket each; every pair is in exactly one
batch of every epoch. With `prompts`, the pairs of one prompt stay together, so that an image that several of them
share is forwarded once. Every rank of a distributed run computes the same batch and takes its own slice.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from dina_lrm.typed import DinaError

Indices = NDArray[np.int64]


class BatchPlan:
    """The batches of a training run: `plan.batch(step)` for step = 0, 1, ...

    `buckets` is the bucket of each pair, or the number of pairs when there is one bucket. `prompts` is the prompt of
    each pair: given, the pairs of a prompt are kept in one batch where that leaves no batch less than half full. A
    batch has at most `batch_size` pairs over all ranks, and at least half of that wherever its bucket allows.

    Raises:
        ValueError: no pairs, a rank outside 0..world-1, or a bucket with too few pairs to give every rank one.
    """

    def __init__(
        self,
        buckets: int | Int64[Tensor, " pairs"],
        batch_size: int,
        seed: int,
        prompts: Int64[Tensor, " pairs"] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        bucket_of = np.zeros(buckets, np.int64) if isinstance(buckets, int) else buckets.numpy(force=True)
        if len(bucket_of) == 0:
            raise DinaError("there are no pairs to make batches of")
        if batch_size < 1:
            raise DinaError(f"batch_size is {batch_size}; it must be at least 1")
        if not 0 <= rank < world:
            raise DinaError(f"rank is {rank} of world {world}; it must be in 0..world-1")
        if prompts is not None and len(prompts) != len(bucket_of):
            raise DinaError(f"prompts has {len(prompts)} entries for {len(bucket_of)} pairs")
        self.batch_size, self.seed, self.rank, self.world = batch_size, seed, rank, world
        prompt_of = None if prompts is None else prompts.numpy(force=True)
        self._buckets = [
            _Bucket(number, np.flatnonzero(bucket_of == number), prompt_of) for number in np.unique(bucket_of).tolist()
        ]
        self._starts = [0]
        self._epoch: tuple[int, list[Indices]] = (-1, [])
        self._check_every_rank_has_work()

    def batch(self, step: int) -> Int64[Tensor, " batch"]:
        """Indices of the pairs of this rank at `step`, never empty."""
        epoch, position = self.epoch_of(step)
        whole = self._batches(epoch)[position]
        return torch.from_numpy(np.array_split(whole, self.world)[self.rank].copy())

    def epoch_of(self, step: int) -> tuple[int, int]:
        """The epoch that `step` belongs to, and its position in it."""
        if step < 0:
            raise DinaError(f"step is {step}; it must be at least 0")
        epoch = 0
        while step >= self.first_step(epoch + 1):
            epoch += 1
        return epoch, step - self.first_step(epoch)

    def first_step(self, epoch: int) -> int:
        """The step at which an epoch begins; `first_step(n)` is the number of steps of n epochs."""
        while len(self._starts) <= epoch:
            self._starts.append(self._starts[-1] + len(self._batches(len(self._starts) - 1)))
        return self._starts[epoch]

    def _batches(self, epoch: int) -> list[Indices]:
        if self._epoch[0] != epoch:
            batches = [batch for bucket in self._buckets for batch in bucket.batches(self.batch_size, self.seed, epoch)]
            order = np.random.default_rng([self.seed, epoch]).permutation(len(batches))
            self._epoch = (epoch, [batches[position] for position in order])
        return self._epoch[1]

    def _check_every_rank_has_work(self) -> None:
        for bucket in self._buckets:
            smallest = min(self.batch_size, len(bucket.pairs))
            if len(bucket.pairs) > self.batch_size:
                smallest = (self.batch_size + 1) // 2
            if smallest < self.world:
                raise DinaError(
                    f"bucket {bucket.number} has {len(bucket.pairs)} pairs, and batches of {self.batch_size} can be as "
                    f"small as {smallest}: fewer than the {self.world} ranks. Raise batch_size to at least "
                    f"{2 * self.world}, or leave out buckets with fewer than {self.world} pairs"
                )


class _Bucket:
    """The pairs of one bucket, sorted by prompt, and where each prompt's run of pairs begins."""

    def __init__(self, number: int, pairs: Indices, prompt_of: Indices | None) -> None:
        self.number, self.pairs = number, pairs
        self.starts: Indices | None = None
        if prompt_of is not None:
            self.pairs = pairs[np.argsort(prompt_of[pairs], kind="stable")]
            _, self.starts = np.unique(prompt_of[self.pairs], return_index=True)

    def batches(self, batch_size: int, seed: int, epoch: int) -> list[Indices]:
        """All pairs once, in the order of this epoch."""
        generator = np.random.default_rng([seed, epoch, self.number + 1])
        if self.starts is None:
            order = generator.permutation(self.pairs)
            cuts = list(range(batch_size, len(order), batch_size))
        else:
            groups = np.split(self.pairs, self.starts[1:])
            groups = [groups[position] for position in generator.permutation(len(groups))]
            order = np.concatenate(groups)
            cuts = _cuts_between_groups([len(group) for group in groups], batch_size)
        return [order[start:end] for start, end in pairwise([0, *_without_small_tail(cuts, len(order), batch_size)])]


def _cuts_between_groups(sizes: list[int], batch_size: int) -> list[int]:
    """Ends of all batches but the last: a group is divided only where the batch would be less than half full."""
    cuts, start, position = [], 0, 0
    for size in sizes:
        end = position + size
        while end - start > batch_size:
            position = position if 2 * (position - start) >= batch_size else start + batch_size
            cuts.append(position)
            start = position
        position = end
    return cuts


def _without_small_tail(cuts: list[int], total: int, batch_size: int) -> list[int]:
    """Ends of all batches; a last batch less than half full shares evenly with the one before it."""
    if cuts and 2 * (total - cuts[-1]) < batch_size:
        before = cuts[-2] if len(cuts) > 1 else 0
        cuts = [*cuts[:-1], before + (total - before + 1) // 2]
    return [*cuts, total]
