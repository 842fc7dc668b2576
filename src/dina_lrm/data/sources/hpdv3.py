"""HPDv3 (MizzenAI/HPDv3): `train.json` and `test.json`, images beside them.

Rows hold prompt, path1, path2, model1, model2, confidence and choice_dist. path1 is always the preferred image, so that
sides are decided by a coin here; choice_dist = votes (preferred, other) becomes a soft label. Where most votes are for
path2 the row contradicts itself: the votes are what people said, so they make the label, and a check counts the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions, comparisons_of, field, image_value, text, votes_against
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """The one comparison of a row. Raises ValueError naming file, row, field and value."""
    return comparisons_of(row, options, "hpdv3", _parse)


def conflict(row: Row) -> str | None:
    """Why an accepted row contradicts itself, None where it does not."""
    return votes_against(_votes(row.values["choice_dist"]), "path1")


def _parse(values: Mapping[str, Any], row: Row, options: ReadOptions) -> list[Comparison]:
    preferred, other = (image_value(field(values, name), name, row, options) for name in ("path1", "path2"))
    votes = _votes(field(values, "choice_dist"))
    return [
        Comparison(
            prompt=text(values, "prompt"),
            image_a=preferred,
            image_b=other,
            preference=1.0 if votes is None else votes[0] / sum(votes),
            prompt_id=f"hpdv3-{text(values, 'prompt')}",
            votes=None if votes is None else sum(votes),
            confidence=_confidence(field(values, "confidence")),
        )
    ]


def _votes(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    whole = isinstance(value, list) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in value)
    if isinstance(value, list) and whole and len(value) == 2 and sum(value) > 0:
        return value[0], value[1]
    raise DinaError(
        f"choice_dist is {value!r:.60}; accepted: null, or two numbers of votes, not both 0, those of path1 first"
    )


def _confidence(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise DinaError(f"confidence is {value!r}; accepted: null, or a number in [0, 1]")
