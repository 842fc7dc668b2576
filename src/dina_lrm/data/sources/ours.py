"""Tables of a user: our own columns, or any layout that is recognised by its columns (`sources.layouts`).

Our own are prompt, image_a, image_b, preference and, optionally, the rest of `Comparison`. Images are paths, resolved
against the folder of the file, or the bytes of image files (Parquet only; a struct with `bytes` and `path`, as the
datasets library writes images, is read too).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.named import named_preferences
from dina_lrm.data.sources.columns import COLUMNS, REQUIRED, mapped
from dina_lrm.data.sources.fields import ReadOptions, image_value
from dina_lrm.data.sources.layouts import recognised
from dina_lrm.data.sources.layouts.layout import Reading
from dina_lrm.data.sources.layouts.nearest import nearest_told, own_mapping, told_missing
from dina_lrm.data.sources.own_values import PREFERENCE, number_value, optional_values, text_value
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """The comparisons that a row holds: one in our own columns, and what its layout says in others.

    Raises:
        ValueError: naming file, row, the value given and the values accepted.
    """
    try:
        values, reading = _read_as(row, options)
        if reading is None:
            return [_own(values, row, options)]
    except (ValueError, OverflowError) as error:
        message = str(error).removeprefix(f"{row.where}: ")
        raise DinaError(f"{row.where}: {message}") from error
    return reading.layout.comparisons(reading.row(row, values), options)


def reading_of(row: Row, options: ReadOptions) -> Reading | None:
    """How a row is read, where its layout is another than ours; None for ours and for what cannot be read."""
    try:
        return _read_as(row, options)[1]
    except ValueError:
        return None


def conflict(row: Row) -> str | None:
    """Why an accepted row contradicts itself, in a layout that can say so; None where it does not."""
    reading = recognised(row.values)
    if reading is None or reading.layout.conflict is None:
        return None
    return reading.layout.conflict(reading.row(row, row.values))


def layout_told(row: Row, options: ReadOptions) -> str:
    """How a row is read, or which layout is nearest and what it lacks."""
    try:
        reading = _read_as(row, options)[1]
    except ValueError:
        return nearest_told(row.values, REQUIRED, options.layout)
    return "ours" if reading is None else str(reading)


def _read_as(row: Row, options: ReadOptions) -> tuple[Mapping[str, Any], Reading | None]:
    """The values of a row, mapped as it was asked for, and their layout; None is ours."""
    values: Mapping[str, Any] = row.parsed()
    if options.columns is not None:
        values = mapped(values, options.columns)
    if options.layout is None and all(name in values for name in REQUIRED):
        return {name: values[name] for name in COLUMNS if name in values} if options.columns else values, None
    reading = recognised(values, options.layout)
    if reading is None:
        _refuse(values, options)
    return values, dataclasses.replace(reading, mapped=options.columns or {})


def _own(values: Mapping[str, Any], row: Row, options: ReadOptions) -> Comparison:
    _check_columns(values, options.ignore_columns)
    beside = dataclasses.replace(options, images=options.images or row.path.parent)
    return Comparison(
        prompt=text_value(values["prompt"], "prompt"),
        image_a=image_value(values["image_a"], "image_a", row, beside),
        image_b=image_value(values["image_b"], "image_b", row, beside),
        preference=number_value(values["preference"], "preference", PREFERENCE),
        preferences=named_preferences(values.get("preferences"), "preferences"),
        **optional_values(values),
    )


def _refuse(values: Mapping[str, Any], options: ReadOptions) -> NoReturn:
    """Say what a table lacks, of the layout that is nearest."""
    missing = [name for name in REQUIRED if name not in values]
    told = None if missing == ["preference"] else told_missing(values, options.layout)
    if told is not None:
        raise DinaError(told)
    found = ", ".join(map(str, values)) or "none"
    raise DinaError(
        f"no column {', '.join(missing)}{own_mapping(values)}; found: {found}; required: {', '.join(REQUIRED)} "
        "(other names are mapped by --columns)"
    )


def _check_columns(values: Mapping[str, Any], ignore_columns: Sequence[str]) -> None:
    unknown = [str(name) for name in values if name not in COLUMNS and name not in ignore_columns]
    if unknown:
        raise DinaError(
            f"unknown column {', '.join(unknown)}; accepted: {', '.join(COLUMNS)} "
            "(name a column in ignore_columns to leave it out)"
        )
