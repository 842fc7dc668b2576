"""Rankings of your own: a table with prompt, images (paths) and ranks, the lower the better, equal ones tied.

In a folder the table is called `rankings.jsonl` (or .json, .parquet).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions, comparisons_of, image_values, ranked_pairs, ranks, text
from dina_lrm.data.sources.rows import Row


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """All pairs of a row. Raises ValueError naming file, row, field and value."""
    return comparisons_of(row, options, "rankings", _parse)


def _parse(values: Mapping[str, Any], row: Row, options: ReadOptions) -> list[Comparison]:
    images = image_values(values, "images", row, options)
    return ranked_pairs(text(values, "prompt"), images, ranks(values, "ranks"))
