"""HPDv3++ and tables like it: `prompt, path1, path2`, where path1 is always the preferred image.

A column `choice_dist`, where there is one, holds the votes (path1, path2), as a list or as the text of one.
"""

from __future__ import annotations

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions, votes_against
from dina_lrm.data.sources.layouts.layout import Layout, Part
from dina_lrm.data.sources.layouts.parts import PROMPT
from dina_lrm.data.sources.layouts.reading import counted, json_list, picture, prompt_of, reader
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError


def _parse(row: Row, options: ReadOptions) -> list[Comparison]:
    preferred, other = (picture(row, name, options) for name in ("path1", "path2"))
    votes = _votes(row.values.get("choice_dist"))
    share = 1.0 if votes is None else votes[0] / sum(votes)
    return [Comparison(prompt_of(row), preferred, other, share, votes=None if votes is None else sum(votes))]


def _votes(value: object) -> tuple[int, int] | None:
    if value is None or value == "":
        return None
    found = json_list(value, "choice_dist")
    if len(found) != 2:
        raise DinaError(f"choice_dist is {value!r:.60}; accepted: nothing, or two numbers of votes, path1's first")
    return counted("choice_dist", found[0], found[1])


def _conflict(row: Row) -> str | None:
    return votes_against(_votes(row.values.get("choice_dist")), "path1")


_PAIR = Part(("path1", "path2"), ("preferred image", "other image"), (), "picture")
LAYOUT = Layout(
    "prompt, path1, path2: path1 preferred",
    (PROMPT, _PAIR),
    reader(_parse, by_coin=True),
    preferred_first=True,
    also=("choice_dist",),
    conflict=_conflict,
)
