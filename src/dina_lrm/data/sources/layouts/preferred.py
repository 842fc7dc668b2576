"""Tables with one verdict on two images: `image1, image2, preference`.

A verdict is the name of the preferred image's column or side, or that of a tie; in a column called `preference` also
P(first preferred), a number in [0, 1]. Other numbers mean different things to different people (-1/0/1, 0/1, 1/2): they
are read when it is said which, as in `--columns preference=signed:label`.
"""

from __future__ import annotations

from typing import Final

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions
from dina_lrm.data.sources.layouts.labels import accepted_numbers, named_side
from dina_lrm.data.sources.layouts.layout import Layout, Part
from dina_lrm.data.sources.layouts.parts import PAIR, PROMPT
from dina_lrm.data.sources.layouts.reading import picture, prompt_of, reader
from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError

_SURE: Final = "preference"
"""The column whose numbers mean P(first preferred), as in tables of our own."""


def _parse(row: Row, options: ReadOptions) -> list[Comparison]:
    images = picture(row, "image_a", options), picture(row, "image_b", options)
    return [Comparison(prompt_of(row), *images, _probability(row))]


def _probability(row: Row) -> float:
    column, value = row.column("verdict"), row.values["verdict"]
    images = (row.column("image_a"), row.column("image_b"))
    named = named_side(value, images) if isinstance(value, str) else None
    if named is not None:
        return named
    sure = column.casefold() == _SURE or _SURE in row.values  # what is mapped to it has its name too
    if sure and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            found = float(value)
        except ValueError:
            found = -1.0
        if 0 <= found <= 1:
            return found
    share = ", or P(first preferred) in [0, 1]" if sure else ""
    raise DinaError(
        f"{column} is {value!r:.60}; accepted: the name of an image's column, or tie{share}; {accepted_numbers(column)}"
    )


_NAMES: Final = (_SURE, "preferred", "winner", "choice", "label", "vote")
_VERDICT = Part(("verdict",), ("verdict",), tuple((name,) for name in _NAMES), "number")
LAYOUT = Layout("prompt, image1, image2, preference", (PROMPT, PAIR, _VERDICT), reader(_parse))
