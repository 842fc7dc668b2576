"""Rankings of your own: a table with prompt, images (paths) and ranks, the lower the better, equal ones tied.

In the place of ranks, or beside them, a row may say what teachers gave its images: `scores`, an object of names and
lists of numbers, the higher the better, and by how much they must differ, `gap`. A pair says of a name which picture
that teacher scored higher, where the two differ by more; where they do not, or one has no score, it says nothing of it.
A pair that says nothing at all is none.

In a folder the table is called `rankings.jsonl` (or .json, .parquet).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from dina_lrm.data.comparison import Comparison, ImageSource
from dina_lrm.data.sources.fields import ReadOptions, comparisons_of, image_values, ranked_pairs, ranks, text
from dina_lrm.data.sources.rows import Row
from dina_lrm.heads.names import OVERALL, check_name
from dina_lrm.typed import DinaError

Scores = Mapping[str, Sequence[float | None]]


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """All pairs of a row. Raises ValueError naming file, row, field and value."""
    return comparisons_of(row, options, "rankings", _parse)


def _parse(values: Mapping[str, Any], row: Row, options: ReadOptions) -> list[Comparison]:
    images = image_values(values, "images", row, options)
    if values.get("scores") is None:
        return ranked_pairs(text(values, "prompt"), images, ranks(values, "ranks"))
    scores = teacher_scores(values["scores"], len(images))
    ranking = None if values.get("ranks") is None else ranks(values, "ranks")
    if ranking is not None and len(ranking) != len(images):
        raise DinaError(f"{len(images)} images and {len(ranking)} ranks; accepted: one rank for each image")
    return rated_pairs(text(values, "prompt"), images, scores, teacher_gaps(values.get("gap"), [*scores]), ranking)


def rated_pairs(
    prompt: str,
    images: Sequence[ImageSource],
    scores: Scores,
    gaps: Mapping[str, float],
    ranking: Sequence[float] | None = None,
) -> list[Comparison]:
    """The pairs of a group; `ranking`, the lower the better, is its order under the score "overall" where there is one.

    The plain preference is what is said of "overall", or else of the first name of which something is said.
    """
    if len(images) < 2:
        raise DinaError(f"{len(images)} images; accepted: at least two to compare")
    found = []
    for a, b in itertools.combinations(range(len(images)), 2):
        said = {name: _order(of[a], of[b], gaps.get(name, 0.0)) for name, of in scores.items()}
        if ranking is not None:
            said[OVERALL] = 0.5 if ranking[a] == ranking[b] else float(ranking[a] < ranking[b])
        told = {name: value for name, value in said.items() if value is not None}
        if told:
            plain = told.get(OVERALL, next(iter(told.values())))
            found.append(Comparison(prompt, images[a], images[b], plain, preferences=tuple(told.items())))
    return found


def teacher_scores(value: object, images: int) -> Scores:
    """What a cell says of each teacher: a list with a number for each image, or null. ValueError for anything else."""
    if not isinstance(value, Mapping) or not value:
        raise DinaError(f"scores is {value!r:.80}; accepted: an object of names and lists of numbers")
    found: dict[str, list[float | None]] = {}
    for name, given in value.items():
        check_name("scores", name)
        if not isinstance(given, list) or len(given) != images:
            raise DinaError(f"scores.{name} is {given!r:.80}; accepted: a list of {images} numbers, one for each image")
        found[name] = [_number(f"scores.{name}", one) for one in given]
    return found


def teacher_gaps(value: object, names: Sequence[str]) -> dict[str, float]:
    """By how much scores must differ: one number for all names, or one for some of them. ValueError otherwise."""
    given = value if isinstance(value, Mapping) else dict.fromkeys(names, 0.0 if value is None else value)
    found = {}
    for name, gap in given.items():
        number = _number(f"gap of {name}", gap)
        if name not in names or (number is not None and number < 0):
            raise DinaError(f"gap is {value!r:.80}; accepted: a number of at least 0, or one by name of {list(names)}")
        found[str(name)] = number or 0.0
    return found


def _order(first: float | None, second: float | None, gap: float) -> float | None:
    if first is None or second is None or abs(first - second) <= gap:
        return None
    return float(first > second)


def _number(where: str, value: Any) -> float | None:  # noqa: ANN401 - whatever stands in a cell
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DinaError(f"{where} is {value!r:.80}; accepted: a finite number, or null where there is none")
    return float(value)
