"""From the values of a row to comparisons, as every layout of a user's own does it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dina_lrm.data.comparison import Comparison, ImageSource, image_key, with_random_side
from dina_lrm.data.sources.fields import ReadOptions, image_value, image_values
from dina_lrm.data.sources.own_values import optional_values
from dina_lrm.data.sources.rows import Row
from dina_lrm.runs.json_files import parse_json
from dina_lrm.typed import DinaError

Parse = Callable[[Row, ReadOptions], list[Comparison]]
"""From a row that has its values under the names of a layout's roles to what it says."""


def reader(parse: Parse, by_coin: bool = False) -> Parse:
    """Comparisons of a row by `parse`, with weight, names and votes where the row has columns of our names for them.

    Paths are relative to the table's folder. With `by_coin` sides are drawn by a coin of the seed and of what is
    compared, so that neither the table's name nor its order matters.
    """

    def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
        beside = replace(options, images=options.images or row.path.parent)
        try:
            found = _with(parse(row, beside), row.values, options)
        except (ValueError, OverflowError) as error:
            raise DinaError(f"{row.where}: {error}") from error
        return [_drawn(one, row, options.seed) for one in found] if by_coin else found

    return comparisons


def _with(found: list[Comparison], values: Mapping[str, Any], options: ReadOptions) -> list[Comparison]:
    given = optional_values({name: value for name, value in values.items() if name not in options.ignore_columns})
    whole = [replace(one, **{**given, "votes": given["votes"] if one.votes is None else one.votes}) for one in found]
    if given["pair_id"] is None or len(found) == 1:
        return whole
    return [replace(one, pair_id=f"{given['pair_id']}-{number}") for number, one in enumerate(whole)]


def _drawn(comparison: Comparison, row: Row, seed: int) -> Comparison:
    shown = [_told(image, row.path.parent) for image in (comparison.image_a, comparison.image_b)]
    return with_random_side(comparison, seed, repr((comparison.prompt, *shown)))


def _told(image: ImageSource, folder: Path) -> str:
    """An image's path as the table has it, or a hash of its bytes."""
    return os.path.relpath(image, folder) if isinstance(image, str | Path) else image_key(image)


def prompt_of(row: Row) -> str:
    """The prompt of a row; ValueError for what is no text."""
    value = row.values["prompt"]
    if not isinstance(value, str):
        raise DinaError(f"{row.column('prompt')} is {value!r:.80}; accepted: text")
    return value


def picture(row: Row, name: str, options: ReadOptions) -> ImageSource:
    """The image that stands in a row under a name of ours; what is wrong with it is said by the table's own name."""
    return image_value(row.values[name], row.column(name), row, options)


def pictures(row: Row, name: str, options: ReadOptions) -> Sequence[ImageSource]:
    """A list of images, or the JSON text of one."""
    column = row.column(name)
    return image_values({column: json_list(row.values[name], column)}, column, row, options)


def number(row: Row, name: str, what: str) -> float:
    """The number that stands under a name of ours, also as text. ValueError for anything else: `what` is accepted."""
    return _number(row.values[name], row.column(name), what)


def counted(what: str, first: object, second: object) -> tuple[int, int]:
    """Two numbers of votes, whole, at least 0 and not both 0; ValueError for others, which says `what` they are."""
    votes = (_number(first, what, "numbers of votes"), _number(second, what, "numbers of votes"))
    if not (all(count.is_integer() for count in votes) and min(votes) >= 0 and sum(votes) > 0):
        raise DinaError(f"{what} are {votes[0]:g} and {votes[1]:g}; accepted: whole numbers of votes, not both 0")
    return int(votes[0]), int(votes[1])


def _number(value: object, name: str, what: str) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    raise DinaError(f"{name} is {value!r:.60}; accepted: {what}")


def json_list(value: object, name: str) -> list[Any]:
    """A list, or the JSON text of one. ValueError for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = parse_json(value, name)
        except ValueError as error:
            raise DinaError(f"{name} is {value!r:.60}, which is not JSON; accepted: a list") from error
    if not isinstance(value, list):
        raise DinaError(f"{name} is {value!r:.60}; accepted: a list, or the JSON text of one")
    return value
