"""Which two pictures are shown next: each gets as many votes as the others, and near ones meet more often.

The picture with the fewest votes meets, by a coin, either another with few votes or the one whose record is nearest:
pairs of both kinds are needed, those that tell good from bad and those that are hard to tell. No pair comes twice.
Everything is a function of the votes so far and of the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

Vote = tuple[int, int, float]
"""Two pictures by number, and how likely the first is preferred: 1, 0, or 0.5 for a tie."""


@dataclass(frozen=True)
class Tally:
    """Of each picture how often it was judged and its share of wins (ties half; one win and one loss beforehand)."""

    counts: Sequence[int]
    shares: Sequence[float]
    met: Sequence[set[int]]
    """The pictures that each one was compared with."""


def tally(pictures: int, votes: Sequence[Vote]) -> Tally:
    """Count the votes on each of so many pictures, and on each two of them."""
    counts, wins, met = [0] * pictures, [1.0] * pictures, [set[int]() for _ in range(pictures)]
    for first, second, preference in votes:
        counts[first] += 1
        counts[second] += 1
        wins[first] += preference
        wins[second] += 1 - preference
        met[first].add(second)
        met[second].add(first)
    return Tally(counts, [win / (count + 2) for win, count in zip(wins, counts, strict=True)], met)


def next_pair(groups: Sequence[Sequence[int]], found: Tally, seed: int = 0) -> tuple[int, int] | None:
    """The two pictures to show, left and right; None when every two of a group were compared.

    `groups` are pictures of one prompt each, by number; those of fewer than two pictures have no pairs.
    """
    coin = Random(f"{seed}, {sum(found.counts)}")
    order = {picture: coin.random() for group in groups for picture in group}
    first = min(
        (picture for group in groups for picture in group if _has_partner(picture, group, found)),
        key=lambda picture: (found.counts[picture], order[picture]),
        default=None,
    )
    if first is None:
        return None
    group = next(group for group in groups if first in group)
    partners = _partners(first, group, found)
    if coin.random() < 0.5:
        fewest = min(found.counts[other] for other in partners)
        second = min((other for other in partners if found.counts[other] == fewest), key=lambda other: order[other])
    else:
        second = min(partners, key=lambda other: (abs(found.shares[other] - found.shares[first]), order[other]))
    return (first, second) if coin.random() < 0.5 else (second, first)


def _has_partner(picture: int, group: Sequence[int], found: Tally) -> bool:
    return any(other != picture and other not in found.met[picture] for other in group)


def _partners(picture: int, group: Sequence[int], found: Tally) -> list[int]:
    """Those that the picture was not compared with."""
    return [other for other in group if other != picture and other not in found.met[picture]]
