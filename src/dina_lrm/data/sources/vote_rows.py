"""Rows of a store of votes: a row a pair, in our own columns, on its first question.

Where people are asked several, `preferences` has what they said of each by its id, for models with scores called so.

Votes weigh what their annotators' controls had shown by then (`data.votes.trust`). A picture is read only where it is
the one that was voted on; one that is gone or has changed is an `UnreadableImage`, for its row to be left out and said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from dina_lrm.data.comparison import UnreadableImage
from dina_lrm.data.sources.rows import Row
from dina_lrm.data.votes.shares import Share, shares
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.data.votes.trust import Weighed, weighed
from dina_lrm.heads.names import is_name
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
        asked = [question.id for question in store.settings.questions]
        found = shares(votes, asked[0])
        _log.info("%s: question %s, %s", path, found.question, found.told())
        named = _said_by_name(path, votes, asked) if len(asked) > 1 else {}
        for number, share in enumerate(found.pairs, 1):
            values = row_values(store, share, f"{path}, pair {number}")
            said = {name: of[share.pair.id] for name, of in named.items() if share.pair.id in of}
            yield Row(path, f"pair {number}", {**values, "preferences": said} if said else values)


def _said_by_name(path: Path, votes: Sequence[Weighed], asked: Sequence[str]) -> dict[str, dict[str, float]]:
    """The share that prefers a, by question and pair; the log says of questions that no score may be called as."""
    names = [name for name in asked if is_name(name)]
    for name in set(asked) - set(names):
        _log.warning("%s: question %r is none that a score may be called as, and is left out", path, name)
    return {name: {share.pair.id: share.preference for share in shares(votes, name).pairs} for name in names}


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
