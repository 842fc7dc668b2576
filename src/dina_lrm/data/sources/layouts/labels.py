"""What numbers and words of a label mean where a table has one label for two images.

The same number means different things to different people, so that how it is meant is said: `preference=signed:label`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dina_lrm.typed import DinaError

KINDS: Final[Mapping[str, Mapping[float, float]]] = {
    "signed": {1.0: 1.0, 0.0: 0.5, -1.0: 0.0},
    "index": {0.0: 1.0, 1.0: 0.0},
    "side": {1.0: 1.0, 2.0: 0.0},
}
"""P(first preferred) of each number, by how it is meant: the sign, the index of the preferred image, or its number."""
FIRST: Final = frozenset({"a", "left", "first", "image_a", "image_left"})
SECOND: Final = frozenset({"b", "right", "second", "image_b", "image_right"})
TIES: Final = frozenset({"tie", "both", "neither", "equal", "draw"})


def meant(kind: str, value: object, column: str) -> float:
    """P(first preferred) of a label that is meant as `kind` (a key of `KINDS`). ValueError for another number."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except ValueError:
        found = None
    if found is None or found not in KINDS[kind]:
        raise DinaError(
            f"{column} is {value!r:.60}; accepted as {kind}: {', '.join(f'{key:g}' for key in KINDS[kind])}"
        )
    return KINDS[kind][found]


HOW: Final = "HOW is signed (1, 0, -1: first, tie, second), index (0, 1: of the preferred) or side (1, 2)"
"""What is to be said of numbers that could be labels of several kinds."""


def accepted_numbers(column: str) -> str:
    """How numbers in a column are said to be labels of a kind."""
    return f"numbers are read as --columns preference=HOW:{column} says, where {HOW}"


def named_side(word: str, images: Sequence[str | None]) -> float | None:
    """P(first preferred), where a word names the column of an image, a side, or a tie; else None."""
    given = word.strip().casefold()
    first, second = ((name or "").casefold() for name in images)
    if given in FIRST or given == first:
        return 1.0
    if given in SECOND or given == second:
        return 0.0
    return 0.5 if given in TIES else None
