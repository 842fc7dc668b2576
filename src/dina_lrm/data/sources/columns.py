"""Tables with other columns than ours: where each of our values stands in them, as a user says it.

    image_a=chosen,image_b=rejected,preference=1

A value is a column; for `preference` also a number, the same for all rows, `FIRST:SECOND`, two columns of votes, or
`KIND:COLUMN`, a column of labels of which it is said how they are meant (`layouts.labels`). A name of ours is one of
our columns, or one of the values of a layout (`layouts`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, overload

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.layouts import OWN_LAYOUTS
from dina_lrm.data.sources.layouts.labels import KINDS, meant, named_side
from dina_lrm.typed import DinaError

COLUMNS: Final = tuple(field.name for field in dataclasses.fields(Comparison))
REQUIRED: Final = ("prompt", "image_a", "image_b", "preference")
_ROLES: Final = [role for layout in OWN_LAYOUTS.values() for role in layout.roles if role != "verdict"]
NAMES: Final = tuple(dict.fromkeys((*COLUMNS, *_ROLES)))
"""What may be mapped: our columns, and the values of every layout."""


@overload
def parse_columns(text: str, names: Sequence[str] | None = None) -> dict[str, str]: ...


@overload
def parse_columns(text: None, names: Sequence[str] | None = None) -> None: ...


def parse_columns(text: str | None, names: Sequence[str] | None = None) -> dict[str, str] | None:
    """The columns of `image_a=chosen,...`, None where none were given.

    Raises ValueError for a name that is none of `names`, by default all of ours and of every layout.
    """
    if text is None:
        return None
    accepted = NAMES if names is None else tuple(names)
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = part.partition("=")
        name, column = name.strip(), column.strip()
        if not equals or name not in accepted or name in found or not column:
            raise DinaError(f"columns {part!r}; accepted: OURS=THEIRS, once for each of {', '.join(accepted)}")
        found[name] = column
    return found


def mapped(values: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """A row in which what is mapped has our name, in the place of the table's own; the rest as it was.

    Raises ValueError for a column that the row does not have, and for votes that are no numbers of votes.
    """
    kept = {name: value for name, value in values.items() if name not in columns.values()}
    return kept | {name: _value(values, name, column, columns) for name, column in columns.items()}


def _value(values: Mapping[str, Any], name: str, column: str, columns: Mapping[str, str]) -> Any:  # noqa: ANN401
    if column in values:
        given, images = values[column], (columns.get("image_a"), columns.get("image_b"))
        side = named_side(given, images) if name == "preference" and isinstance(given, str) else None
        return given if side is None else side
    if name == "preference":
        first, colon, second = column.partition(":")
        if colon and first in values and second in values:
            return _share(values, first, second)
        if colon and first in KINDS and second in values:
            return meant(first, values[second], second)
        try:
            return float(column)
        except ValueError:
            pass
    raise DinaError(f"no column {column!r} for {name}; found: {', '.join(map(str, values)) or 'none'}")


def _share(values: Mapping[str, Any], first: str, second: str) -> float:
    votes = []
    for column in (first, second):
        try:
            votes.append(float(values[column]))
        except (TypeError, ValueError) as error:
            raise DinaError(f"{column} is {values[column]!r:.60}; accepted: a number of votes") from error
    if not (min(votes) >= 0 and 0 < sum(votes) < float("inf")):
        raise DinaError(f"{first} and {second} are {votes[0]:g} and {votes[1]:g}; accepted: votes, not both 0")
    return votes[0] / sum(votes)
