"""Pick-a-Pic v1 and v2 (yuvalkirstain/pickapic_v1, pickapic_v2): Parquet shards that hold the images.

Rows hold caption, jpg_0, jpg_1 (bytes), label_0, label_1 in {0, 0.5, 1}, has_label, ranking_id and more. The
addresses of the images are dead: the bytes are used. Rows without a label hold no judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions, choice, comparisons_of, field, image_value, text
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError

LABELS = {0.0: 0.0, 0.5: 0.5, 1.0: 1.0}


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """The comparison of a row, or none where it has no label. Raises ValueError naming file, row, field and value."""
    return comparisons_of(row, options, "pick-a-pic", _parse)


def _parse(values: Mapping[str, Any], row: Row, options: ReadOptions) -> list[Comparison]:
    labelled = values.get("has_label", True)
    if labelled not in (True, False):
        raise DinaError(f"has_label is {labelled!r}; accepted: true or false")
    if not labelled:
        return []
    first, second = (choice(values, name, LABELS) for name in ("label_0", "label_1"))
    if first + second != 1:
        raise DinaError(f"label_0 is {first:g} and label_1 is {second:g}; accepted: labels that add up to 1")
    prompt = text(values, "caption")
    images = [image_value(field(values, name), name, row, options) for name in ("jpg_0", "jpg_1")]
    return [Comparison(prompt, images[0], images[1], first, prompt_id=f"pick-a-pic-{prompt}", votes=1)]
