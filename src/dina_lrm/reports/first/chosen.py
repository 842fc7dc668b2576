"""Which examples a page shows: spread over how much was gained, the worst and the best among them, and said so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Chosen = Sequence[tuple[int, str]]
"""Rows in the order in which they are shown, each with its place; the places are empty where gains are not known."""


def by_gain(gains: Float[np.ndarray, " rows"], shown: int) -> Chosen:
    """At most `shown` rows at even quantiles of the gain, the lowest first; rows without a gain are left out.

    Where no gain is known they are rows at even distances.
    """
    known = np.flatnonzero(np.isfinite(gains))
    if not known.size:
        return [(row, "") for row in _even(len(gains), shown)]
    order = known[np.argsort(gains[known], kind="stable")]
    return [(int(order[place]), _place(place, len(order))) for place in _even(len(order), shown)]


def how_chosen(chosen: Chosen, of: int, gain: str) -> str:
    """The choice as a sentence; `gain` names what was gained."""
    if len(chosen) == of:
        return f"All {of} pictures." if of > 1 else "The only picture."
    if not any(place for _, place in chosen):
        return f"{len(chosen)} of {of} pictures at even distances: none was picked."
    return f"{len(chosen)} of {of} pictures by their gain in {gain}, from the lowest to the highest at even quantiles."


def _even(number: int, shown: int) -> list[int]:
    """At most `shown` of `number` places, evenly spread, with the first and the last."""
    found: list[int] = np.unique(np.linspace(0, number - 1, min(shown, number)).round().astype(int)).tolist()
    return found


def _place(place: int, number: int) -> str:
    if number == 1:
        return "the only gain"
    names = {0: "lowest gain", number - 1: "highest gain"}
    return names.get(place, f"gain above {100 * place / (number - 1):.0f} % of pictures")
