"""What numbers and words of a label mean where a table has one label for two images.

The same number means different things to different people, so that how it is meant is said: `preference=signed:label`.
"""

from __future__ import annotations

from collections.abc import Mapping
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


def accepted_numbers(column: str) -> str:
    """How numbers in a column are said to be labels of a kind."""
    return (
        f"labels 1, 0, -1 (first, tie, second) are read with --columns preference=signed:{column}, 0 and 1 (the index "
        f"of the preferred) with index:{column}, 1 and 2 with side:{column}"
    )
