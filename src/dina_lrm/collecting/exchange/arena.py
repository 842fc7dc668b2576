"""Tables of arenas: a row a vote, in columns that each of them calls otherwise, so that they are named.

`columns` says where prompt, left, right and vote stand, and, where there are such, annotator and ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from dina_lrm.collecting.exchange.files import picture_path, text_of
from dina_lrm.collecting.exchange.given import GivenVote, LeftOut, Said
from dina_lrm.data.sources.tables import scan_rows
from dina_lrm.typed import DinaError

NEEDED: Final = ("prompt", "left", "right", "vote")
MAY: Final = ("annotator", "ms")
SAID: Final[dict[str, Said]] = {
    **dict.fromkeys(("left", "leftvote", "model_a", "image_a", "a"), "first"),
    **dict.fromkeys(("right", "rightvote", "model_b", "image_b", "b"), "second"),
    **dict.fromkeys(("tie", "tievote", "equal", "both good"), "tie"),
    **dict.fromkeys(("both_bad", "both bad", "bothbad", "bothbad_vote", "tie (bothbad)"), "both_bad"),
    **dict.fromkeys(("skip", "can't choose", "unsure"), "skip"),
}
"""What arenas write, in small letters."""


def read(
    path: Path, images: Path | None = None, columns: Mapping[str, str] | None = None
) -> Iterator[GivenVote | LeftOut]:
    """The votes of a table; pictures lie relative to it, or to `images`.

    Raises DinaError for a column that is not there, and for a vote that is none of `SAID`.
    """
    called = {name: name for name in NEEDED} | dict(columns or {})
    unknown = sorted(set(called) - {*NEEDED, *MAY})
    if unknown:
        raise DinaError(f"columns {', '.join(unknown)}; accepted: {', '.join((*NEEDED, *MAY))}")
    for row in scan_rows(path):
        values = row.parsed()
        missing = [column for column in called.values() if column not in values]
        if missing:
            found = ", ".join(map(str, values))
            raise DinaError(f"{row.where}: no column {', '.join(missing)}; found: {found}; say which by --columns")
        vote = str(values[called["vote"]]).strip().lower()
        if vote not in SAID:
            raise DinaError(f"{row.where}: vote {values[called['vote']]!r:.60}; accepted: {', '.join(SAID)}")
        left, right = (picture_path(values[called[name]], images or path.parent) for name in ("left", "right"))
        if left is None or right is None:
            yield LeftOut("with a picture that is an address or no text")
            continue
        prompt = text_of(values, called["prompt"], row.where)
        person = str(values[called["annotator"]]) if "annotator" in called else "somebody"
        ms = round(float(values[called["ms"]])) if "ms" in called and values[called["ms"]] not in (None, "") else None
        yield GivenVote(prompt, left, right, SAID[vote], f"arena {person}", f"{path.name}:{row.place}", ms)
