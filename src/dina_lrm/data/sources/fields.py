"""Values of published rows, checked: an error names the field, the value given and the values accepted."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dina_lrm.data.comparison import Comparison, ImageSource, UnreadableImage, with_random_side
from dina_lrm.data.sources.rows import Row
from dina_lrm.pictures.sources import NO_FILE, why_no_file
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class ReadOptions:
    """How a source is read.

    `images` is the folder that image paths are relative to (by default where the table lies, or the folder given);
    `seed` decides which image of a pair is called the first; `ignore_columns` are columns of our own tables to leave
    out, `columns` says where the values of a table with other columns stand (`sources.columns`). `root` is the path
    that was given; `layout` the one that a table of a user is read in, where it is not recognised by its columns.
    """

    root: Path = Path()
    images: Path | None = None
    seed: int = 0
    ignore_columns: Sequence[str] = ()
    columns: Mapping[str, str] | None = None
    layout: str | None = None


Parse = Callable[[Mapping[str, Any], Row, ReadOptions], list[Comparison]]


def comparisons_of(row: Row, options: ReadOptions, source: str, parse: Parse) -> list[Comparison]:
    """What `parse` makes of a published row, with the source's name, ids, and sides by a coin of (seed, id).

    Raises:
        ValueError: naming file and row, for a field that is missing or not accepted.
    """
    values = row.parsed()
    try:
        found = parse(values, row, options)
    except (ValueError, OverflowError) as error:
        raise DinaError(f"{row.where}: {error}") from error
    named = []
    for number, comparison in enumerate(found):
        pair_id = f"{source}-{row.name}" if len(found) == 1 else f"{source}-{row.name}-{number}"
        prompt_id = comparison.prompt_id or f"{source}-{row.name}"
        whole = replace(comparison, source=source, pair_id=comparison.pair_id or pair_id, prompt_id=prompt_id)
        named.append(with_random_side(whole, options.seed, pair_id))
    return named


def field(values: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - what a table holds
    """The value of a required field."""
    if name not in values:
        raise DinaError(f"no field {name}; found: {', '.join(map(str, values)) or 'none'}")
    return values[name]


def text(values: Mapping[str, Any], name: str) -> str:
    """A field of text."""
    value = field(values, name)
    if not isinstance(value, str):
        raise DinaError(f"{name} is {value!r}; accepted: text")
    return value


def choice(values: Mapping[str, Any], name: str, accepted: Mapping[Any, float]) -> float:
    """What a field's value means, by a table of the values that are accepted."""
    value = field(values, name)
    if isinstance(value, list | dict | bool) or value not in accepted:
        raise DinaError(f"{name} is {value!r}; accepted: {', '.join(map(repr, accepted))}")
    return accepted[value]


def items(values: Mapping[str, Any], name: str, kinds: tuple[type, ...], what: str) -> list[Any]:
    """A field that is a list of `kinds`; `what` names them in an error."""
    value = field(values, name)
    if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, kinds) for v in value):
        raise DinaError(f"{name} is {value!r:.80}; accepted: a list of {what}")
    return value


def ranks(values: Mapping[str, Any], name: str) -> list[float]:
    """A field that ranks images; a rank that is no number would prefer the other image."""
    found = [float(rank) for rank in items(values, name, (int, float), "ranks, the lower the better")]
    if not all(map(math.isfinite, found)):
        raise DinaError(f"{name} is {found!r:.80}; accepted: finite numbers, the lower the better")
    return found


def votes_against(votes: Sequence[int] | None, winner: str) -> str | None:
    """Why a row contradicts itself: it names a winner, and its votes, the winner's first, are for the other image."""
    if votes is None or votes[0] >= votes[1]:
        return None
    return (
        f"{winner} is named as the preferred image, and its votes are {votes[0]} to {votes[1]}; the votes are followed"
    )


def image_value(value: object, name: str, row: Row, options: ReadOptions) -> ImageSource:
    """The image of a cell: bytes, a path, or the struct of both that the datasets library writes.

    An empty cell, and text that is no path, become an `UnreadableImage` that says so, for the row to be left out and
    counted. Raises ValueError for a value of another kind.
    """
    if isinstance(value, UnreadableImage):
        return value
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes) and value:
        return value
    if isinstance(value, str) and value.strip():
        return _image_path(value, name, row, options)
    if value is None or value in ("", b"") or isinstance(value, str) or value != value:  # a NaN is pandas' empty cell
        return UnreadableImage(f"{row.where}, {name}", "the cell is empty")
    raise DinaError(f"{name} is {value!r:.60}; give the path of an image file, or (in Parquet) the bytes of one")


def image_values(values: Mapping[str, Any], name: str, row: Row, options: ReadOptions) -> list[ImageSource]:
    """A field that is a list of images, each as `image_value` reads it."""
    given = items(values, name, (str, bytes, dict, type(None)), "image paths, or the bytes of image files")
    return [image_value(value, name, row, options) for value in given]


def _image_path(given: str, name: str, row: Row, options: ReadOptions) -> ImageSource:
    """Where an image file is: below the folder of images, beside the table, or below the folder that was given.

    The first of these that exists; the first of them all where none does, so that it is reported as missing.
    """
    places = [options.images] if options.images is not None else [row.path.parent, options.root]
    candidates = [place / given for place in places if not os.path.isfile(place)]
    found = next((path for path in candidates if os.path.exists(path)), None)
    if found is not None:
        return found
    fault = why_no_file(Path(given))
    return candidates[0] if fault == NO_FILE else UnreadableImage(f"{row.where}, {name}", fault)


def ranked_pairs(prompt: str, images: Sequence[ImageSource], ranking: Sequence[float], **more: Any) -> list[Comparison]:  # noqa: ANN401
    """All pairs of a ranking; the lower rank is preferred, equal ranks are a tie."""
    if len(images) != len(ranking):
        raise DinaError(f"{len(images)} images and {len(ranking)} ranks; accepted: one rank for each image")
    if len(images) < 2:
        raise DinaError(f"{len(images)} images; accepted: at least two to compare")
    pairs = itertools.combinations(zip(images, ranking, strict=True), 2)
    return [
        Comparison(prompt, a, b, preference=0.5 if rank_a == rank_b else float(rank_a < rank_b), **more)
        for (a, rank_a), (b, rank_b) in pairs
    ]
