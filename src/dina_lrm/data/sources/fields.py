"""Values of published rows, checked: an error names the field, the value given and the values accepted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dina_lrm.data.comparison import Comparison, ImageSource, with_random_side
from dina_lrm.data.sources.tables import Row


@dataclass(frozen=True)
class ReadOptions:
    """How a source is read.

    `images` is the folder that image paths are relative to (by default where the table lies, or the folder given);
    `seed` decides which image of a pair is called the first; `ignore_columns` are columns of our own tables to leave
    out. `root` is the path that was given.
    """

    root: Path = Path()
    images: Path | None = None
    seed: int = 0
    ignore_columns: Sequence[str] = ()


Parse = Callable[[Mapping[str, Any], Row, ReadOptions], list[Comparison]]


def comparisons_of(row: Row, options: ReadOptions, source: str, parse: Parse) -> list[Comparison]:
    """What `parse` makes of a published row, with the source's name, ids, and sides by a coin of (seed, id).

    Raises:
        ValueError: naming file and row, for a field that is missing or not accepted.
    """
    values = row.parsed()
    try:
        found = parse(values, row, options)
    except ValueError as error:
        raise ValueError(f"{row.where}: {error}") from error
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
        raise ValueError(f"no field {name}; found: {', '.join(map(str, values)) or 'none'}")
    return values[name]


def text(values: Mapping[str, Any], name: str) -> str:
    """A field of text."""
    value = field(values, name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; accepted: text")
    return value


def choice(values: Mapping[str, Any], name: str, accepted: Mapping[Any, float]) -> float:
    """What a field's value means, by a table of the values that are accepted."""
    value = field(values, name)
    if isinstance(value, list | dict | bool) or value not in accepted:
        raise ValueError(f"{name} is {value!r}; accepted: {', '.join(map(repr, accepted))}")
    return accepted[value]


def items(values: Mapping[str, Any], name: str, kinds: tuple[type, ...], what: str) -> list[Any]:
    """A field that is a list of `kinds`; `what` names them in an error."""
    value = field(values, name)
    if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, kinds) for v in value):
        raise ValueError(f"{name} is {value!r:.80}; accepted: a list of {what}")
    return value


def ranks(values: Mapping[str, Any], name: str) -> list[float]:
    """A field that ranks images."""
    return [float(rank) for rank in items(values, name, (int, float), "ranks, the lower the better")]


def votes_against(votes: Sequence[int] | None, winner: str) -> str | None:
    """Why a row contradicts itself: it names a winner, and its votes, the winner's first, are for the other image."""
    if votes is None or votes[0] >= votes[1]:
        return None
    return (
        f"{winner} is named as the preferred image, and its votes are {votes[0]} to {votes[1]}; the votes are followed"
    )


def image_path(name: str, row: Row, options: ReadOptions) -> Path:
    """Where an image file is: below the folder of images, beside the table, or below the folder that was given.

    The first of these that exists; the first of them all where none does, so that it is reported as missing.
    """
    if not name.strip():
        raise ValueError("an image path is empty")
    places = [options.images] if options.images is not None else [row.path.parent, options.root]
    candidates = [place / name for place in places if place is not None and not place.is_file()]
    return next((path for path in candidates if path.exists()), candidates[0])


def image_value(value: object, name: str, row: Row, options: ReadOptions) -> ImageSource:
    """An image in a Parquet file: bytes, a path, or the struct of both that the datasets library writes."""
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes) and value:
        return value
    if isinstance(value, str) and value.strip():
        return image_path(value, row, options)
    raise ValueError(f"{name} is {value!r:.60}; accepted: the bytes of an image file, or its path")


def ranked_pairs(prompt: str, images: Sequence[ImageSource], ranking: Sequence[float], **more: Any) -> list[Comparison]:  # noqa: ANN401
    """All pairs of a ranking; the lower rank is preferred, equal ranks are a tie."""
    if len(images) != len(ranking):
        raise ValueError(f"{len(images)} images and {len(ranking)} ranks; accepted: one rank for each image")
    if len(images) < 2:
        raise ValueError(f"{len(images)} images; accepted: at least two to compare")
    pairs = itertools.combinations(zip(images, ranking, strict=True), 2)
    return [
        Comparison(prompt, a, b, preference=0.5 if rank_a == rank_b else float(rank_a < rank_b), **more)
        for (a, rank_a), (b, rank_b) in pairs
    ]
