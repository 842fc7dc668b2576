"""Tables with the votes for each image: `image1, image2, votes_image1, votes_image2`, as Rapidata has them.

Votes are counts, and give the share that prefers the first. Results that are weighted by who voted
(`weighted_results_image1_preference`) give a share too, but are no counts: how many people voted stays unknown.
"""

from __future__ import annotations

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions
from dina_lrm.data.sources.layouts.layout import Layout, Part
from dina_lrm.data.sources.layouts.parts import PAIR, PROMPT, sided
from dina_lrm.data.sources.layouts.reading import counted, number, picture, prompt_of, reader
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError


def _parse(row: Row, options: ReadOptions) -> list[Comparison]:
    names = f"{row.column('votes_a')} and {row.column('votes_b')}"
    votes = counted(names, row.values["votes_a"], row.values["votes_b"])
    return [_comparison(row, options, votes[0] / sum(votes), sum(votes))]


def _parse_weighted(row: Row, options: ReadOptions) -> list[Comparison]:
    first, second = (number(row, name, "a finite number that is at least 0") for name in ("result_a", "result_b"))
    if not (min(first, second) >= 0 and 0 < first + second < float("inf")):
        names = f"{row.column('result_a')} and {row.column('result_b')}"
        raise DinaError(f"{names} are {first:g} and {second:g}; accepted: finite numbers of at least 0, not both 0")
    return [_comparison(row, options, first / (first + second), None)]


def _comparison(row: Row, options: ReadOptions, share: float, votes: int | None) -> Comparison:
    images = picture(row, "image_a", options), picture(row, "image_b", options)
    return Comparison(prompt_of(row), *images, share, votes=votes)


_VOTES = Part(
    ("votes_a", "votes_b"),
    ("votes for the first", "votes for the second"),
    sided("votes_image{}", "votes_image_{}", "votes_{}", "votes{}", "num_votes_{}", "{}_votes"),
    "number",
)
_WEIGHTED = Part(
    ("result_a", "result_b"),
    ("weighted result of the first", "weighted result of the second"),
    sided("weighted_results_image{}_preference"),
    "number",
)
LAYOUT = Layout("prompt, image1, image2, votes_image1, votes_image2", (PROMPT, PAIR, _VOTES), reader(_parse))
WEIGHTED = Layout(
    "prompt, image1, image2, weighted_results_image1_preference, weighted_results_image2_preference",
    (PROMPT, PAIR, _WEIGHTED),
    reader(_parse_weighted),
)
