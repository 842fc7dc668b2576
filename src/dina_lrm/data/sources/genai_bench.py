"""GenAI-Bench, the arena votes of TIGER-Lab (TIGER-Lab/GenAI-Bench, config image_generation); not the VQA benchmark.

Rows hold prompt, left_model, left_image, right_model, right_image and vote_type. A vote that both are bad says, as a
tie does, that neither is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions, choice, comparisons_of, field, image_value, text
from dina_lrm.data.sources.rows import Row

VOTES = {"leftvote": 1.0, "rightvote": 0.0, "tievote": 0.5, "bothbad_vote": 0.5}


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """The one comparison of a row. Raises ValueError naming file, row, field and value."""
    return comparisons_of(row, options, "genai-bench", _parse)


def _parse(values: Mapping[str, Any], row: Row, options: ReadOptions) -> list[Comparison]:
    prompt = text(values, "prompt")
    left, right = (image_value(field(values, name), name, row, options) for name in ("left_image", "right_image"))
    return [
        Comparison(prompt, left, right, choice(values, "vote_type", VOTES), prompt_id=f"genai-bench-{prompt}", votes=1)
    ]
