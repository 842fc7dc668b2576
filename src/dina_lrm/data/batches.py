"""Which comparisons are in which batch: a pure function of (seed, step), so that resuming needs no state.

An epoch is a random order of all pairs, cut into batches whose images have one size, or the same two sizes; every pair
is in exactly one batch of every epoch. With `prompts`, the pairs of one prompt stay together, so that an image that
several of them share is forwarded once. With `costs` a batch holds so many tokens instead of so many pairs. Every rank
of a distributed run computes the same batch and takes its own slice.

A run may go on with another size of batches (`BatchPlan.resized`): the pairs that are left of the epoch keep their
order and are cut anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from dina_lrm.data.cache.pairs import MIXED, buckets_of_kind
from dina_lrm.data.epochs import Cut, Indices, Kind, cuts, shares
from dina_lrm.typed import DinaError

_POOL = -1
"""The number of the pairs of all kinds that are too few for batches of their own."""


@dataclass(frozen=True, eq=False)
class _Epoch:
    """The batches of an epoch; `seen` counts the pairs before each."""

    number: int
    batches: list[Indices]
    seen: Indices


class BatchPlan:
    """The batches of a training run: `plan.batch(step)` for step = 0, 1, ...

    `buckets` says of what size each pair is (`EncodedComparisons.buckets`), or is the number of pairs when there is one
    size. `prompts` is the prompt of each pair: given, the pairs of a prompt are kept in one batch where that leaves no
    batch less than half full. A batch has at most `batch_size` pairs over all ranks, and mostly at least half of that.
    With `costs`, one number a pair such as its tokens, the costs of a batch add up to at most `batch_size` instead.

    Where pairs have two sizes, or costs, those of sizes that do not fill half a batch share batches with one another.

    Raises:
        ValueError: no pairs, a rank outside 0..world-1, a pair that costs more than `batch_size`, or a bucket with too
            few pairs to give every rank one.
    """

    def __init__(
        self,
        buckets: int | Int64[Tensor, " pairs"],
        batch_size: int,
        seed: int,
        prompts: Int64[Tensor, " pairs"] | None = None,
        rank: int = 0,
        world: int = 1,
        costs: Int64[Tensor, " pairs"] | None = None,
    ) -> None:
        kind_of = np.zeros(buckets, np.int64) if isinstance(buckets, int) else buckets.numpy(force=True)
        if len(kind_of) == 0:
            raise DinaError("there are no pairs to make batches of")
        if batch_size < 1:
            raise DinaError(f"batch_size is {batch_size}; it must be at least 1")
        if not 0 <= rank < world:
            raise DinaError(f"rank is {rank} of world {world}; it must be in 0..world-1")
        for name, column in (("prompts", prompts), ("costs", costs)):
            if column is not None and len(column) != len(kind_of):
                raise DinaError(f"{name} has {len(column)} entries for {len(kind_of)} pairs")
        self.batch_size, self.seed, self.rank, self.world = batch_size, seed, rank, world
        self.sizes: tuple[tuple[int, int], ...] = ((0, batch_size),)
        """From which step on batches were of which size."""
        self._buckets, self._prompts, self._pair_costs = buckets, prompts, costs
        self._prompt_of = None if prompts is None else prompts.numpy(force=True)
        self._costs = None if costs is None else costs.numpy(force=True)
        self._check_costs()
        self._kind_of = self._pooled(kind_of)
        self._kinds = [
            Kind(number, np.flatnonzero(self._kind_of == number), self._prompt_of, self._costs)
            for number in np.unique(self._kind_of).tolist()
        ]
        self._starts = [0]
        self._earlier: tuple[BatchPlan, int, int] | None = None
        self._epoch: _Epoch | None = None
        self._counting = Lock()
        self._check_every_rank_has_work()

    @property
    def unit(self) -> Literal["pairs", "tokens"]:
        """What `batch_size` counts: pairs, or what they cost."""
        return "pairs" if self._costs is None else "tokens"

    @property
    def by_prompt(self) -> bool:
        """Whether pairs of a prompt are kept together."""
        return self._prompts is not None

    @property
    def pairs(self) -> int:
        """Number of pairs, each once an epoch."""
        return len(self._kind_of)

    def know(self, starts: Sequence[int]) -> None:
        """Take the first steps of the first epochs, as an equal plan counted them."""
        with self._counting:
            if len(starts) > len(self._starts):
                self._starts = [*starts]

    def resized(self, step: int, batch_size: int) -> BatchPlan:
        """The same batches before `step`, and from there on others that hold at most `batch_size`.

        The pairs that are left of the epoch keep their order among those of their sizes, and are cut anew.
        """
        if batch_size == self.batch_size:
            return self
        plan = BatchPlan(
            self._buckets,
            batch_size,
            self.seed,
            self._prompts,
            self.rank,
            self.world,
            self._pair_costs,
        )
        plan.know(self.starts(step))
        plan._earlier = (self, *self.epoch_of(step))
        plan.sizes = (*self.sizes, (step, batch_size))
        return plan

    def batch(self, step: int) -> Int64[Tensor, " batch"]:
        """Indices of the pairs of this rank at `step`; empty only where a rest of few pairs is shared by many ranks."""
        epoch, position = self.epoch_of(step)
        whole = self._at(epoch).batches[position]
        return torch.from_numpy(np.split(whole, self.shares(whole, self.world)[:-1])[self.rank].copy())

    def shares(self, pairs: Indices, parts: int) -> Indices:
        """Ends of `parts` shares of a batch that cost about as much; none is empty where there are enough pairs."""
        return shares(None if self._costs is None else self._costs[pairs], len(pairs), parts)

    def epoch_of(self, step: int) -> tuple[int, int]:
        """The epoch that `step` belongs to, and its position in it."""
        if step < 0:
            raise DinaError(f"step is {step}; it must be at least 0")
        epoch = max(0, int(np.searchsorted(self._starts, step, side="right")) - 1)
        while step >= self.first_step(epoch + 1):
            epoch += 1
        return epoch, step - self.first_step(epoch)

    def first_step(self, epoch: int) -> int:
        """The step at which an epoch begins; `first_step(n)` is the number of steps of n epochs."""
        with self._counting:
            while len(self._starts) <= epoch:
                self._starts.append(self._starts[-1] + self._count(len(self._starts) - 1))
            return self._starts[epoch]

    def starts(self, step: int) -> tuple[int, ...]:
        """First steps of all epochs up to that of `step`."""
        epoch, _ = self.epoch_of(step)
        return tuple(self._starts[: epoch + 1])

    def pairs_seen(self, step: int) -> int:
        """Pairs of its epoch that were read before `step`."""
        epoch, position = self.epoch_of(step)
        return int(self._at(epoch).seen[position])

    def _at(self, epoch: int) -> _Epoch:
        found = self._epoch
        if found is None or found.number != epoch:
            batches = self._batches(epoch)
            sizes = np.array([len(batch) for batch in batches])
            self._epoch = found = _Epoch(epoch, batches, np.concatenate([[0], sizes.cumsum()]))
        return found

    def _batches(self, epoch: int) -> list[Indices]:
        if self._earlier is not None:
            earlier, last, position = self._earlier
            if epoch < last:
                return earlier._at(epoch).batches
            if epoch == last and position > 0:
                batches = earlier._at(epoch).batches
                return [*batches[:position], *self._recut(np.concatenate(batches[position:]))]
        batches = [batch for kind in self._kinds for batch in kind.cut(self.batch_size, self.seed, epoch).batches()]
        order = np.random.default_rng([self.seed, epoch]).permutation(len(batches))
        return [batches[position] for position in order]

    def _count(self, epoch: int) -> int:
        if self._earlier is not None and epoch <= self._earlier[1]:
            return len(self._at(epoch).batches)
        return sum(kind.count(self.batch_size, self.seed, epoch) for kind in self._kinds)

    def _recut(self, left: Indices) -> list[Indices]:
        """Batches of the pairs that are left of an epoch, in the order that they had."""
        found: list[tuple[int, Indices]] = []
        for number in np.unique(self._kind_of[left]).tolist():
            places = np.flatnonzero(self._kind_of[left] == number)
            pairs = left[places]
            costs = None if self._costs is None else self._costs[pairs]
            groups = None if self._prompt_of is None else _ends_of_runs(self._prompt_of[pairs])
            ends = cuts(len(pairs), costs, groups, self.batch_size)
            found += zip(places[[0, *ends[:-1]]].tolist(), Cut(pairs, ends).batches(), strict=True)
        return [batch for _, batch in sorted(found, key=lambda placed: placed[0])]

    def _pooled(self, kind_of: Indices) -> Indices:
        """Kinds, those that do not fill half a batch as one: none where all pairs have one size and cost the same."""
        if self._costs is None and kind_of.max() < MIXED:
            return kind_of
        place = np.unique(kind_of, return_inverse=True)[1]
        filled = np.bincount(place, self._costs)
        small = 2 * filled < self.batch_size
        if not small.any():
            return kind_of
        if 2 * filled[small].sum() < self.batch_size and not small.all():
            small[np.flatnonzero(~small)[filled[~small].argmin()]] = True
        return np.where(small[place], _POOL, kind_of)

    def _check_costs(self) -> None:
        if self._costs is None:
            return
        most, least = int(self._costs.max()), int(self._costs.min())
        if least < 1 or most > self.batch_size:
            raise DinaError(
                f"a batch holds at most {self.batch_size}, and pairs cost from {least} to {most}; accepted: at least "
                f"{most} a batch, and 1 a pair"
            )

    def _check_every_rank_has_work(self) -> None:
        for kind in self._kinds:
            smallest = len(kind.pairs)
            if kind.cost > self.batch_size:
                smallest = max(1, (self.batch_size + 1) // 2 // kind.largest_cost)
            if smallest < self.world:
                named = (
                    "of few pairs each" if kind.number == _POOL else "+".join(map(str, buckets_of_kind(kind.number)))
                )
                raise DinaError(
                    f"bucket {named} has {len(kind.pairs)} pairs, and batches of {self.batch_size} can be as "
                    f"small as {smallest}: fewer than the {self.world} ranks. Raise batch_size to at least "
                    f"{2 * self.world * kind.largest_cost}, or leave out buckets with fewer than {self.world} pairs"
                )


def _ends_of_runs(values: Indices) -> Indices:
    return np.append(np.flatnonzero(np.diff(values)) + 1, len(values))
