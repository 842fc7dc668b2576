"""Tables that name the preferred image and the other: `prompt, chosen, rejected`, as for training on preferences."""

from __future__ import annotations

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions
from dina_lrm.data.sources.layouts.layout import Layout, Part
from dina_lrm.data.sources.layouts.parts import PROMPT
from dina_lrm.data.sources.layouts.reading import picture, prompt_of, reader
from dina_lrm.data.sources.rows import Row


def _parse(row: Row, options: ReadOptions) -> list[Comparison]:
    return [Comparison(prompt_of(row), picture(row, "chosen", options), picture(row, "rejected", options), 1.0)]


_PAIR = Part(
    ("chosen", "rejected"),
    ("preferred image", "other image"),
    (
        ("chosen_image", "rejected_image"),
        ("image_chosen", "image_rejected"),
        ("preferred", "rejected"),
        ("winner", "loser"),
        ("win", "lose"),
        ("image_w", "image_l"),
        ("jpg_w", "jpg_l"),
        ("better", "worse"),
    ),
    "picture",
)
LAYOUT = Layout("prompt, chosen, rejected", (PROMPT, _PAIR), reader(_parse, by_coin=True), preferred_first=True)
