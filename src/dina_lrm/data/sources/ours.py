"""Our own comparison files: columns prompt, image_a, image_b, preference and, optionally, the rest of `Comparison`.

Images are paths, resolved against the folder of the file, or the bytes of image files (Parquet only; a struct with
`bytes` and `path`, as the datasets library writes images, is read too).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dina_lrm.data.comparison import Comparison, ImageSource
from dina_lrm.data.sources.fields import ReadOptions
from dina_lrm.data.sources.tables import Row

COLUMNS = tuple(field.name for field in dataclasses.fields(Comparison))
REQUIRED = ("prompt", "image_a", "image_b", "preference")
TEXT_COLUMNS = ("source", "pair_id", "prompt_id")


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """The one comparison that a row of our own format holds.

    Raises:
        ValueError: naming file, row, the value given and the values accepted.
    """
    values = row.parsed()
    _check_columns(row.where, values, options.ignore_columns)
    folder = options.images or row.path.parent
    try:
        comparison = Comparison(
            prompt=_text(values["prompt"], "prompt"),
            image_a=_image(values["image_a"], "image_a", folder),
            image_b=_image(values["image_b"], "image_b", folder),
            preference=_number(values["preference"], "preference", "P(image_a preferred), a number in [0, 1]"),
            weight=_weight(values.get("weight")),
            votes=_votes(values.get("votes")),
            confidence=_optional_number(values.get("confidence"), "confidence"),
            **{name: _optional_text(values.get(name), name) for name in TEXT_COLUMNS},
        )
    except ValueError as error:
        raise ValueError(f"{row.where}: {error}") from error
    return [comparison]


def _check_columns(where: str, values: Mapping[str, Any], ignore_columns: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in values]
    if missing:
        found = ", ".join(map(str, values)) or "none"
        raise ValueError(f"{where}: no column {', '.join(missing)}; found: {found}; required: {', '.join(REQUIRED)}")
    unknown = [str(name) for name in values if name not in COLUMNS and name not in ignore_columns]
    if unknown:
        raise ValueError(
            f"{where}: unknown column {', '.join(unknown)}; accepted: {', '.join(COLUMNS)} "
            "(name a column in ignore_columns to leave it out)"
        )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; give text")
    return value


def _optional_text(value: object, name: str) -> str | None:
    # Identifiers are often written as numbers; an empty CSV cell means "none given".
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{name} is {value!r}; give text or a whole number, or leave it out")
    return str(value)


def _number(value: object, name: str, accepted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{name} is {value!r}; give {accepted}")
    try:
        return float(value)
    except ValueError as error:
        raise ValueError(f"{name} is {value!r}; give {accepted}") from error


def _is_absent(value: object) -> bool:
    # NaN is how a missing number comes out of a table written by pandas.
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _weight(value: object) -> float:
    return 1.0 if _is_absent(value) else _number(value, "weight", "a finite number that is at least 0")


def _optional_number(value: object, name: str) -> float | None:
    return None if _is_absent(value) else _number(value, name, "a number in [0, 1]")


def _votes(value: object) -> int | None:
    if _is_absent(value):
        return None
    number = _number(value, "votes", "a whole number of at least 1")
    if number != int(number):
        raise ValueError(f"votes is {value!r}; give a whole number of at least 1")
    return int(number)


def _image(value: object, name: str, folder: Path) -> ImageSource:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes) and value:
        return value
    if isinstance(value, str) and value.strip():
        return folder / value
    raise ValueError(f"{name} is {_short(value)}; give the path of an image file, or (in Parquet) the bytes of one")


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."
