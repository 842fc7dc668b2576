"""Tables with other columns than ours: where each of our values stands in them, as a user says it.

    image_a=chosen,image_b=rejected,preference=1

A value is a column; for `preference` also a number, the same for all rows, or `FIRST:SECOND`, two columns of votes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dina_lrm.data.comparison import Comparison
from dina_lrm.typed import DinaError

COLUMNS: Final = tuple(field.name for field in dataclasses.fields(Comparison))
REQUIRED: Final = ("prompt", "image_a", "image_b", "preference")
_LAYOUTS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("chosen", "rejected"), "--columns image_a=chosen,image_b=rejected,preference=1"),
    (
        ("image1", "image2", "votes_image1"),
        "--columns image_a=image1,image_b=image2,preference=votes_image1:votes_image2",
    ),
    (("jpg_0", "jpg_1", "label_0"), "the source pick-a-pic"),
    (("image_0", "image_1", "label_0"), "--columns image_a=image_0,image_b=image_1,preference=label_0:label_1"),
    (("image_0", "image_1", "preference"), "--columns image_a=image_0,image_b=image_1"),
    (("image1", "image2", "preference"), "--columns image_a=image1,image_b=image2"),
    (("path1", "path2"), "the source hpdv3, or --columns image_a=path1,image_b=path2,preference=1"),
    (("file_path", "human_preference"), "the source hpdv2"),
    (("image_path", "rank"), "the source hpdv2"),
    (("generations", "ranking"), "the source imagereward"),
    (("left_image", "right_image", "vote_type"), "the source genai-bench"),
    (("images", "ranks"), "the source rankings"),
    (("latent1", "latent2"), "the source released-latents"),
)
"""Columns by which a published layout is recognised, and how it is read."""


def parse_columns(text: str) -> dict[str, str]:
    """The columns of `image_a=chosen,...`; raises ValueError for a name of ours that there is none of."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = part.partition("=")
        name, column = name.strip(), column.strip()
        if not equals or name not in COLUMNS or name in found or not column:
            raise DinaError(f"columns {part!r}; accepted: OURS=THEIRS, once for each of {', '.join(COLUMNS)}")
        found[name] = column
    return found


def mapped(values: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """A row with our columns: those that are mapped, and those that have our name already; others are left out.

    Raises ValueError for a column that the row does not have, and for votes that are no numbers of votes.
    """
    kept = {name: values[name] for name in COLUMNS if name in values}
    return kept | {name: _value(values, name, column) for name, column in columns.items()}


def _value(values: Mapping[str, Any], name: str, column: str) -> Any:  # noqa: ANN401 - what a table holds
    if column in values:
        return values[column]
    if name == "preference":
        first, colon, second = column.partition(":")
        if colon and first in values and second in values:
            return _share(values, first, second)
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


def layout_hint(columns: Iterable[str]) -> str | None:
    """How a table with these columns is read, where its layout is a known one: by a mapping, or by a source."""
    there = set(columns)
    for names, how in _LAYOUTS:
        if there.issuperset(names):
            return f"{', '.join(names)} are mapped by {how}" if how.startswith("--") else f"it is read by {how}"
    return None
