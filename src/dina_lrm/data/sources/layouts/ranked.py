"""Tables with several images of a prompt in one row: `ranked`, a list of them, best first; or `images` with `ranks`.

A list is a list (JSON, JSONL, Parquet) or the JSON text of one (CSV). Ranks are numbers, the lower the better; images
of equal rank are tied. All pairs of a row become comparisons.
"""

from __future__ import annotations

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions, ranked_pairs, ranks
from dina_lrm.data.sources.layouts.layout import Layout, Part
from dina_lrm.data.sources.layouts.parts import PROMPT
from dina_lrm.data.sources.layouts.reading import json_list, pictures, prompt_of, reader
from dina_lrm.data.sources.rows import Row


def _parse_ordered(row: Row, options: ReadOptions) -> list[Comparison]:
    images = pictures(row, "ranked", options)
    return ranked_pairs(prompt_of(row), images, [float(place) for place in range(len(images))])


def _parse_ranks(row: Row, options: ReadOptions) -> list[Comparison]:
    column = row.column("ranks")
    ranking = ranks({column: json_list(row.values["ranks"], column)}, column)
    return ranked_pairs(prompt_of(row), pictures(row, "images", options), ranking)


_ORDERED = Part(("ranked",), ("images (best first)",), (("ranked_images",), ("images_ranked",)), "list")
_RANKS = Part(
    ("images", "ranks"),
    ("images", "ranks (the lower the better)"),
    (("images", "rank"), ("images", "ranking"), ("image_paths", "ranks")),
    "list",
)
LAYOUT = Layout("prompt, ranked", (PROMPT, _ORDERED), reader(_parse_ordered, by_coin=True), preferred_first=True)
WITH_RANKS = Layout("prompt, images, ranks", (PROMPT, _RANKS), reader(_parse_ranks, by_coin=True), True)
