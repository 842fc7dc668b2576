"""ImageRewardDB (zai-org/ImageRewardDB): rankings in `data/test.json`.

Rows hold id, prompt, generations (image paths) and ranking, lower is better and equal is a tie. The public test
file has 466 prompts with 7,230 pairs, 831 of them ties.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import (
    ReadOptions,
    comparisons_of,
    field,
    image_values,
    ranked_pairs,
    ranks,
    text,
)
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """All pairs of a row. Raises ValueError naming file, row, field and value."""
    return comparisons_of(row, options, "imagereward", _parse)


def _parse(values: Mapping[str, Any], row: Row, options: ReadOptions) -> list[Comparison]:
    images = image_values(values, "generations", row, options)
    name = field(values, "id")
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise DinaError(f"id is {name!r}; accepted: text or a whole number")
    return ranked_pairs(text(values, "prompt"), images, ranks(values, "ranking"), prompt_id=f"imagereward-{name}")
