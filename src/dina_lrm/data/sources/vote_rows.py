"""Rows of a store of votes: a row a pair, in our own columns, on its first question.

Votes weigh what their annotators' controls had shown by then (`data.votes.trust`). A picture is read only where it is
the one that was voted on; one that is gone or has changed is an `UnreadableImage`, for its row to be left out and said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dina_lrm.data.comparison import UnreadableImage
from dina_lrm.data.sources.rows import Row
from dina_lrm.data.votes.shares import Share, shares
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.data.votes.trust import weighed
from dina_lrm.runs.content import content_of

SOURCE: Final = "votes"
"""Where a pair is from, that does not say it itself."""
_log = logging.getLogger(__name__)


def vote_rows(path: Path) -> Iterator[Row]:
    """A row for each pair that has a vote which weighs something; the log says which votes are in none.

    Raises DinaError for a file that is no store of votes.
    """
    with VoteStore.read(path) as store:
        votes = weighed(store.log(), store.pairs(), store.settings)
        found = shares(votes, store.settings.questions[0].id)
        _log.info("%s: question %s, %s", path, found.question, found.told())
        for number, share in enumerate(found.pairs, 1):
            yield Row(path, f"pair {number}", row_values(store, share, f"{path}, pair {number}"))


def row_values(store: VoteStore, share: Share, where: str) -> dict[str, Any]:
    """What the votes on a pair come to, in our own columns; pictures are paths, bytes, or why there is none."""
    pair = share.pair
    return {
        "prompt": pair.prompt,
        "image_a": voted_picture(store, pair.image_a, f"{where}, image_a"),
        "image_b": voted_picture(store, pair.image_b, f"{where}, image_b"),
        "preference": share.preference,
        "weight": share.weight,
        "votes": share.votes,
        "source": pair.source or SOURCE,
        "pair_id": pair.id,
    }


def voted_picture(store: VoteStore, content: str, where: str) -> str | bytes | UnreadableImage:
    """The path of a picture, or its bytes where the store holds them; or why it is not there any more."""
    path = store.stored(content).path
    if path is None:
        return store.picture(content)
    try:
        same = content_of(path) == content
    except OSError:
        return UnreadableImage(where, f"{path}: the picture that was voted on is gone")
    return str(path) if same else UnreadableImage(where, f"{path}: holds another picture than the one voted on")
