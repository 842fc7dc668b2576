"""HPDv2 (ymhao/HPDv2): pairs in `train.json`, rankings in `test.json`.

Training rows hold prompt, file_path [2] and human_preference [2], where 1 marks the preferred image. Test rows hold
prompt, image_path, rank (lower is better; equal or averaged ranks occur) and raw_annotations, one for each annotator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions, comparisons_of, image_values, items, ranked_pairs, ranks, text
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError

PREFERENCES = {(1, 0): 1.0, (0, 1): 0.0}


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """All pairs of a row. Raises ValueError naming file, row, field and value."""
    return comparisons_of(row, options, "hpdv2", _parse)


def _parse(values: Mapping[str, Any], row: Row, options: ReadOptions) -> list[Comparison]:
    prompt = text(values, "prompt")
    if "file_path" not in values:
        images = image_values(values, "image_path", row, options)
        people = values.get("raw_annotations") and len(items(values, "raw_annotations", (dict,), "annotations"))
        return ranked_pairs(prompt, images, ranks(values, "rank"), votes=people or None)
    images = image_values(values, "file_path", row, options)
    marks = tuple(items(values, "human_preference", (int,), "[1, 0] or [0, 1]"))
    if len(images) != 2 or marks not in PREFERENCES:
        raise DinaError(
            f"{len(images)} images with human_preference {list(marks)}; accepted: two images and [1, 0] or [0, 1]"
        )
    return [Comparison(prompt, images[0], images[1], PREFERENCES[marks], prompt_id=f"hpdv2-{prompt}")]
