"""Votes of a page that is a file: a line a vote, as it was given, with the pictures named from where the page lies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dina_lrm.collecting.exchange.files import picture_path, text_of
from dina_lrm.collecting.exchange.given import GivenVote, LeftOut, Said
from dina_lrm.data.sources.tables import scan_rows
from dina_lrm.typed import DinaError

SAID: Final[dict[str, Said]] = {
    "left": "first", "right": "second", "tie": "tie", "both_bad": "both_bad", "skip": "skip"
}  # fmt: skip


def read(path: Path, images: Path | None = None) -> Iterator[GivenVote | LeftOut]:
    """The votes of a saved file; pictures lie relative to it, or to `images`: the folder of the page.

    Raises DinaError for a line that no page writes.
    """
    for row in scan_rows(path):
        values = row.parsed()
        answer, left = values.get("answer"), values.get("left")
        if answer not in SAID or left not in ("a", "b"):
            raise DinaError(
                f"{row.where}: answer {answer!r:.40}, left {left!r:.40}; accepted: what a page saved, an answer of "
                f"{', '.join(SAID)} (pages of earlier versions saved comparisons)"
            )
        pictures = {side: picture_path(values.get(f"image_{side}"), images or path.parent) for side in ("a", "b")}
        first, second = pictures[left], pictures["b" if left == "a" else "a"]
        if first is None or second is None:
            yield LeftOut("with a picture that is an address or no text")
            continue
        prompt, key = text_of(values, "prompt", row.where), text_of(values, "client_id", row.where)
        person = text_of(values, "annotator", row.where)
        yield GivenVote(prompt, first, second, SAID[answer], person, key, _ms(values), _moment(values))


def _ms(values: dict[str, Any]) -> int | None:
    found = values.get("ms")
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def _moment(values: dict[str, Any]) -> float | None:
    """Seconds since 1970; None where the browser's clock said nothing that is a time."""
    try:
        return datetime.fromisoformat(str(values.get("at"))).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
