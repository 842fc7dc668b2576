"""Rows of votes: only ever added, and each client's id once."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from dina_lrm.data.votes.records import UNDONE, NewVote, Vote
from dina_lrm.typed import DinaError

_COLUMNS: Final = "pair, annotator, question, answer, side_shown, ms, at, screen, reason, client_id, corrects"
STANDING: Final = "answer <> 'undo' AND id IN (SELECT max(id) FROM vote GROUP BY pair, annotator, question)"
"""The last row of each annotator on each pair and question, where it takes nothing back."""
_OWN_LAST: Final = """WHERE annotator = ? AND answer <> 'undo' AND NOT EXISTS (
    SELECT 1 FROM vote AS later WHERE later.pair = vote.pair AND later.annotator = vote.annotator
    AND later.question = vote.question AND later.id > vote.id) ORDER BY id DESC LIMIT 1"""


def read_votes(connection: sqlite3.Connection, where: str, values: tuple[object, ...] = ()) -> list[Vote]:
    """Rows of votes."""
    return [Vote(*row) for row in connection.execute(f"SELECT id, {_COLUMNS} FROM vote {where}", values)]


def vote_of_client(connection: sqlite3.Connection, client_id: str) -> Vote | None:
    """The row that came with a client's id."""
    found = read_votes(connection, "WHERE client_id = ?", (client_id,))
    return found[0] if found else None


def last_of(connection: sqlite3.Connection, annotator: int) -> Vote | None:
    """The last vote of an annotator that stands."""
    found = read_votes(connection, _OWN_LAST, (annotator,))
    return found[0] if found else None


def check_same(known: Vote, given: NewVote) -> None:
    """Raise DinaError where a client's id comes again with something else."""
    said = (given.pair, given.annotator, given.question, given.answer, given.left)
    if (known.pair, known.annotator, known.question, known.answer, known.left) != said:
        raise DinaError(
            f"client_id {given.client_id!r:.80} came with {known.answer} on pair {known.pair} before, now with "
            f"{given.answer} on {given.pair!r:.80}; accepted: an id of its own for each vote"
        )


def add_vote(connection: sqlite3.Connection, vote: NewVote) -> int:
    """Add a vote; where one of the same annotator on the same pair and question stands, it corrects that."""
    same = "WHERE pair = ? AND annotator = ? AND question = ? ORDER BY id DESC LIMIT 1"
    found = read_votes(connection, same, (vote.pair, vote.annotator, vote.question))
    corrects = found[0].id if found and found[0].answer != UNDONE else None
    at = time.time() if vote.at is None else vote.at
    said = (vote.pair, vote.annotator, vote.question, vote.answer, vote.left, vote.ms, at, vote.screen, vote.reason)
    return _insert(connection, (*said, vote.client_id, corrects))


def take_back(connection: sqlite3.Connection, vote: Vote, client_id: str) -> int:
    """Add the row that takes a vote back."""
    said = (vote.pair, vote.annotator, vote.question, UNDONE, vote.left, None, time.time(), None, None)
    return _insert(connection, (*said, client_id, vote.id))


def _insert(connection: sqlite3.Connection, row: tuple[object, ...]) -> int:
    values = ", ".join("?" * len(row))
    cursor = connection.execute(f"INSERT INTO vote ({_COLUMNS}) VALUES ({values})", row)
    assert cursor.lastrowid is not None
    return cursor.lastrowid
