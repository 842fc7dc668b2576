"""Tables with a label for each image: `image_0, image_1, label_0, label_1`, as Pick-a-Pic has them.

The labels of a row add up to 1: 1 and 0, or 0.5 each for a tie. A row whose `has_label` is false holds no judgement.
"""

from __future__ import annotations

from typing import Final

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions
from dina_lrm.data.sources.layouts.layout import Layout, Part
from dina_lrm.data.sources.layouts.parts import PAIR, PROMPT, sided
from dina_lrm.data.sources.layouts.reading import number, picture, prompt_of, reader
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError

_TRUTH: Final[dict[str, bool]] = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def _parse(row: Row, options: ReadOptions) -> list[Comparison]:
    if not _is_labelled(row.values.get("has_label", True)):
        return []
    first, second = (number(row, name, "a label in [0, 1]") for name in ("label_a", "label_b"))
    if not (first >= 0 and second >= 0 and abs(first + second - 1) < 1e-6):
        names = f"{row.column('label_a')} and {row.column('label_b')}"
        raise DinaError(f"{names} are {first:g} and {second:g}; accepted: labels in [0, 1] that add up to 1")
    return [Comparison(prompt_of(row), picture(row, "image_a", options), picture(row, "image_b", options), first)]


def _is_labelled(value: object) -> bool:
    found = _TRUTH.get(str(value).casefold())
    if found is None:
        raise DinaError(f"has_label is {value!r:.60}; accepted: true or false")
    return found


_LABELS = Part(
    ("label_a", "label_b"), ("label of the first", "label of the second"), sided("label_{}", "label{}"), "number"
)
LAYOUT = Layout(
    "prompt, image_0, image_1, label_0, label_1", (PROMPT, PAIR, _LABELS), reader(_parse), also=("has_label",)
)
