"""The order of the pairs of one kind in an epoch, and where it is cut into batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cut:
    """Pairs in the order of an epoch; a batch ends at each of `ends`, the last of them the number of pairs."""

    order: Indices
    ends: Indices

    def batches(self) -> list[Indices]:
        """The pairs of each batch."""
        return np.split(self.order, self.ends[:-1])


class Kind:
    """Pairs that are batched together: those of one size or of the same two sizes, or what is left of small kinds.

    `number` goes into the seed of its order. With `prompt_of`, pairs of a prompt are kept side by side; `costs` are
    those of each pair of the whole set, None where each costs 1.
    """

    def __init__(self, number: int, pairs: Indices, prompt_of: Indices | None, costs: Indices | None) -> None:
        self.number, self.pairs = number, pairs
        self._starts: Indices | None = None
        if prompt_of is not None:
            self.pairs = pairs[np.argsort(prompt_of[pairs], kind="stable")]
            _, self._starts = np.unique(prompt_of[self.pairs], return_index=True)
        self._costs = None if costs is None else costs[self.pairs]
        self._counted: dict[int, int] = {}

    @cached_property
    def cost(self) -> int:
        """What all its pairs cost."""
        return len(self.pairs) if self._costs is None else int(self._costs.sum())

    @cached_property
    def largest_cost(self) -> int:
        """What its most costly pair costs."""
        return 1 if self._costs is None else int(self._costs.max())

    def cut(self, limit: int, seed: int, epoch: int) -> Cut:
        """All pairs once, in the order of this epoch, in batches that cost at most `limit`."""
        rows, groups = self._rows(seed, epoch)
        costs = None if self._costs is None else self._costs[rows]
        return Cut(self.pairs[rows], cuts(len(rows), costs, groups, limit))

    def count(self, limit: int, seed: int, epoch: int) -> int:
        """Number of batches of this epoch, without its order where that does not matter."""
        if self._order_matters:
            return len(self.cut(limit, seed, epoch).ends)
        if limit not in self._counted:
            groups = None if self._starts is None else np.append(self._starts[1:], len(self.pairs))
            self._counted[limit] = len(cuts(len(self.pairs), self._costs, groups, limit))
        return self._counted[limit]

    @cached_property
    def _order_matters(self) -> bool:
        """Whether the number of batches depends on the order: not where all groups are alike."""
        sizes = None if self._starts is None else np.diff(self._starts, append=len(self.pairs))
        alike = sizes is None or bool((sizes == sizes[0]).all())
        return not (alike and (self._costs is None or bool((self._costs == self._costs[0]).all())))

    def _rows(self, seed: int, epoch: int) -> tuple[Indices, Indices | None]:
        """Rows of `pairs` in the order of an epoch, and where each group of a prompt ends in it."""
        generator = np.random.default_rng([seed, epoch, self.number + 1])
        if self._starts is None:
            return generator.permutation(np.arange(len(self.pairs))), None
        groups = generator.permutation(len(self._starts))
        sizes = np.diff(self._starts, append=len(self.pairs))[groups]
        ends = sizes.cumsum()
        return np.arange(len(self.pairs)) + np.repeat(self._starts[groups] - (ends - sizes), sizes), ends


def cuts(count: int, costs: Indices | None, groups: Indices | None, limit: int) -> Indices:
    """Ends of batches of `count` pairs in order, none of which costs more than `limit`.

    A group, of which `groups` are the ends, is divided only where the batch would be less than half full. A last batch
    less than half full shares evenly with the one before it, where both then hold it.
    """
    found = whole_cuts(count, costs, limit) if groups is None else _between_groups(count, costs, groups, limit)
    return _without_small_tail(found, count, costs, limit)


def whole_cuts(count: int, costs: Indices | None, limit: int) -> Indices:
    """Ends of batches, each of as many pairs as cost at most `limit`, and of one where that costs more."""
    if costs is None:
        return np.append(np.arange(limit, count, limit), count)
    before, start = _running(costs), 0
    found: list[int] = []
    while start < count:
        start = max(start + 1, int(before.searchsorted(before[start] + limit, side="right")) - 1)
        found.append(start)
    return np.array(found, np.int64)


def _between_groups(count: int, costs: Indices | None, groups: Indices, limit: int) -> Indices:
    before = np.arange(count + 1) if costs is None else _running(costs)
    last_end = np.zeros(count + 1, np.int64)
    last_end[groups] = groups
    last_end = np.maximum.accumulate(last_end)
    found: list[int] = []
    start = 0
    while True:
        full = start + limit if costs is None else int(before.searchsorted(before[start] + limit, side="right")) - 1
        if full >= count:
            return np.array([*found, count], np.int64)
        end = int(last_end[full])
        start = end if end > start and 2 * (before[end] - before[start]) >= limit else max(full, start + 1)
        found.append(start)


def _without_small_tail(ends: Indices, count: int, costs: Indices | None, limit: int) -> Indices:
    if len(ends) < 2:
        return ends
    before = np.arange(count + 1) if costs is None else _running(costs)
    if 2 * (before[count] - before[ends[-2]]) >= limit:
        return ends
    start = int(ends[-3]) if len(ends) > 2 else 0
    half = before[start] + (before[count] - before[start] + 1) // 2
    middle = min(max(int(before.searchsorted(half)), start + 1), count - 1)
    if costs is not None and max(before[middle] - before[start], before[count] - before[middle]) > limit:
        return ends
    return np.array([*ends[:-2], middle, count], np.int64)


def _running(costs: Indices) -> Indices:
    return np.concatenate([[0], costs.cumsum()])


def shares(costs: Indices | None, count: int, parts: int) -> Indices:
    """Ends of `parts` shares of `count` pairs in order; they cost about as much, and none is empty but for want."""
    if costs is None or bool((costs == costs[0]).all()):
        sizes = np.full(parts, count // parts)
        sizes[: count % parts] += 1
        return sizes.cumsum()
    before = _running(costs)
    wanted = before[-1] * np.arange(1, parts + 1) / parts
    ends = np.abs(before[:, None] - wanted).argmin(0)
    if count >= parts:  # at least one each
        ends = np.clip(np.maximum.accumulate(ends - np.arange(parts)), 1, count - parts + 1) + np.arange(parts)
    return ends
