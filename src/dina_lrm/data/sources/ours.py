"""Our own comparison files: columns prompt, image_a, image_b, preference and, optionally, the rest of `Comparison`.

Images are paths, resolved against the folder of the file, or the bytes of image files (Parquet only; a struct with
`bytes` and `path`, as the datasets library writes images, is read too).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.columns import COLUMNS, REQUIRED, layout_hint, mapped
from dina_lrm.data.sources.fields import ReadOptions, image_value
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError

TEXT_COLUMNS = ("source", "pair_id", "prompt_id")


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """The one comparison that a row of our own format holds.

    Raises:
        ValueError: naming file, row, the value given and the values accepted.
    """
    values = row.parsed()
    beside = dataclasses.replace(options, images=options.images or row.path.parent)
    try:
        if options.columns is not None:
            values = mapped(values, options.columns)
        _check_columns(values, options.ignore_columns)
        comparison = Comparison(
            prompt=_text(values["prompt"], "prompt"),
            image_a=image_value(values["image_a"], "image_a", row, beside),
            image_b=image_value(values["image_b"], "image_b", row, beside),
            preference=_number(values["preference"], "preference", _PREFERENCE),
            weight=_weight(values.get("weight")),
            votes=_votes(values.get("votes")),
            confidence=_optional_number(values.get("confidence"), "confidence"),
            **{name: _optional_text(values.get(name), name) for name in TEXT_COLUMNS},
        )
    except (ValueError, OverflowError) as error:
        raise DinaError(f"{row.where}: {error}") from error
    return [comparison]


_PREFERENCE = "P(image_a preferred), a number in [0, 1]: 1 where a is preferred, 0 where b is, 0.5 for a tie"


def _check_columns(values: Mapping[str, Any], ignore_columns: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in values]
    found = ", ".join(map(str, values)) or "none"
    if missing:
        hint = layout_hint(values)
        known, other = (f"{hint}; ", "") if hint else ("", " (other names are mapped by --columns)")
        raise DinaError(
            f"no column {', '.join(missing)}; {known}found: {found}; required: {', '.join(REQUIRED)}{other}"
        )
    unknown = [str(name) for name in values if name not in COLUMNS and name not in ignore_columns]
    if unknown:
        raise DinaError(
            f"unknown column {', '.join(unknown)}; accepted: {', '.join(COLUMNS)} "
            "(name a column in ignore_columns to leave it out)"
        )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise DinaError(f"{name} is {value!r:.80}; give text")
    return value


def _optional_text(value: object, name: str) -> str | None:
    # Identifiers are often written as numbers; an empty CSV cell means "none given".
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DinaError(f"{name} is {value!r:.80}; give text or a whole number, or leave it out")
    return str(value)


def _number(value: object, name: str, accepted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or (isinstance(value, str) and "_" in value):
        raise DinaError(f"{name} is {value!r:.80}; give {accepted}")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise DinaError(f"{name} is {value!r:.80}; give {accepted}") from error


def _weight(value: object) -> float:
    # An empty cell is no weight; a NaN is one that went wrong, and must not count as 1.
    return 1.0 if value in (None, "") else _number(value, "weight", "a finite number that is at least 0")


def _optional_number(value: object, name: str) -> float | None:
    return None if value in (None, "") else _number(value, name, "a number in [0, 1]")


def _votes(value: object) -> int | None:
    if value in (None, ""):
        return None
    number = _number(value, "votes", "a whole number of at least 1")
    if not number.is_integer():
        raise DinaError(f"votes is {value!r:.80}; give a whole number of at least 1")
    return int(number)
