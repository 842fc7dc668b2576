"""Every two members of groups, in rounds: within a round each member comes once, so that all are seen equally often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar

Member = TypeVar("Member")


def pairs_in_rounds(groups: Sequence[Sequence[Member]], seed: int) -> Iterator[tuple[Member, Member]]:
    """Every two members of a group once, the first round of all groups before the second of any.

    The order is a function of `seed` and of the order of the members; nothing is held but the members.
    """
    coin = Random(seed)
    tables = [_shuffled([*group], coin) for group in groups if len(group) > 1]
    for number in range(max((_rounds(len(table)) for table in tables), default=0)):
        met = [pair for table in tables if number < _rounds(len(table)) for pair in _round(table, number)]
        yield from _shuffled(met, coin)


def pair_count(groups: Sequence[Sequence[Member]]) -> int:
    """How many pairs there are."""
    return sum(len(group) * (len(group) - 1) // 2 for group in groups)


def _shuffled(members: list[Member], coin: Random) -> list[Member]:
    coin.shuffle(members)
    return members


def _rounds(members: int) -> int:
    return members - 1 if members % 2 == 0 else members


def _round(table: Sequence[Member], number: int) -> list[tuple[Member, Member]]:
    """A round of a tournament by the circle method: one member stays, the others move on by a seat each round."""
    size = len(table) + len(table) % 2
    seats = [0, *(1 + (seat + number) % (size - 1) for seat in range(size - 1))]
    met = ((seats[place], seats[size - 1 - place]) for place in range(size // 2))
    return [(table[one], table[other]) for one, other in met if max(one, other) < len(table)]
