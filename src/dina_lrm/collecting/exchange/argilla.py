"""Argilla's records: the answers to a label question as three sequences that run in parallel.

Drafts and discarded answers are in there too: only what was submitted is a vote. Pictures are names of files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dina_lrm.collecting.exchange.files import PictureFiles, picture_path, text_of
from dina_lrm.collecting.exchange.given import GivenVote, LeftOut, Said
from dina_lrm.data.sources.tables import scan_rows
from dina_lrm.data.votes.records import Vote
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.runs.files import write_text
from dina_lrm.typed import DinaError

QUESTION: Final = "preference"
_SAID: Final[dict[str, Said]] = {
    "image_1": "first", "image_2": "second", "tie": "tie", "both_bad": "both_bad", "skip": "skip"
}  # fmt: skip


def read(path: Path, images: Path | None = None) -> Iterator[GivenVote | LeftOut]:
    """The submitted answers of a table of records; pictures lie relative to it, or to `images`.

    Raises DinaError for a row without prompt, pictures or answers, and for sequences of different lengths.
    """
    for row in scan_rows(path):
        values = row.parsed()
        told = [values.get(f"{QUESTION}.responses{part}") or [] for part in ("", ".users", ".status")]
        if len({len(one) for one in told}) != 1:
            raise DinaError(f"{row.where}: {[len(one) for one in told]} answers, users and states; accepted: as many")
        prompt = text_of(values, "prompt", row.where)
        pictures = [picture_path(values.get(name), images or path.parent) for name in ("image_1", "image_2")]
        name = values.get("_server_id") or values.get("id") or row.name
        for answer, user, status in zip(*told, strict=True):
            if status != "submitted":
                yield LeftOut(f"{status}, not submitted")
            elif answer not in _SAID:
                raise DinaError(f"{row.where}: answer {answer!r:.60}; accepted: {', '.join(_SAID)}")
            elif pictures[0] is None or pictures[1] is None:
                yield LeftOut("with a picture that is an address or no text")
            else:
                yield GivenVote(prompt, pictures[0], pictures[1], _SAID[answer], f"argilla {user}", f"{name}:{user}")


def write(store: VoteStore, question: str, path: Path) -> int:
    """Write all pairs with the votes on a question as JSON lines; returns how many votes were written."""
    files = PictureFiles(store, path)
    votes: dict[str, list[Vote]] = {}
    for vote in store.votes():
        if vote.question == question:
            votes.setdefault(vote.pair, []).append(vote)
    names = {"a": "image_1", "b": "image_2"}
    rows: list[dict[str, Any]] = []
    for pair in store.pairs():
        given = votes.get(pair.id, [])
        rows.append(
            {
                "id": pair.id,
                "prompt": pair.prompt,
                "image_1": files.name(pair.image_a),
                "image_2": files.name(pair.image_b),
                f"{QUESTION}.responses": [names.get(vote.answer, vote.answer) for vote in given],
                f"{QUESTION}.responses.users": [str(vote.annotator) for vote in given],
                f"{QUESTION}.responses.status": ["submitted"] * len(given),
            }
        )
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return sum(map(len, votes.values()))
