"""The store of a collection: pairs that are asked about, who answered what, and nothing that was answered is lost.

with VoteStore.open(Path("votes.sqlite")) as store:
    store.add_pairs([NewPair("a fox", Path("1.png"), Path("2.png"))])
    me = store.join("Ada")
    for pair in store.pairs():
        store.record(NewVote(pair.id, me, "a", left="a", client_id=uuid4().hex, ms=2100))
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final, Self, final

from dina_lrm.data.votes.database import Database, opened, opened_to_read
from dina_lrm.data.votes.pairs import ReadyPair, insert_pair, keep_pair, read_pair, read_pairs, ready_pair
from dina_lrm.data.votes.pictures import StoredPicture, picture_bytes, stored_picture
from dina_lrm.data.votes.records import (
    UNDONE,
    Added,
    Annotator,
    CollectionSettings,
    NewPair,
    NewVote,
    Pair,
    Recorded,
    Side,
    Vote,
    check_short,
)
from dina_lrm.data.votes.rows import STANDING, add_vote, check_same, last_of, read_votes, take_back, vote_of_client
from dina_lrm.runs.json_files import parse_json
from dina_lrm.typed import DinaError, from_plain, to_plain

_TOGETHER: Final = 64
"""Pairs that are added in one transaction: whoever votes meanwhile waits for no more."""


@final
class VoteStore:
    """A file of votes; threads may share one, and processes may open it each for themselves."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.path = database.path
        self.folder = database.path.absolute().parent

    @classmethod
    def open(cls, path: Path, settings: CollectionSettings | None = None, *, create: bool = True) -> Self:
        """Open a file of votes, or begin one with these settings; one that is there keeps its own.

        Raises FileNotFoundError without a file where none is to be made, DinaError for a file of something else or of
        another version, OSError where nothing can be written.
        """
        database, _ = opened(path, create)
        store = cls(database)
        store._begin(settings or CollectionSettings())
        return store

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open a file of votes to read it alone; others may write meanwhile. Raises as `open`."""
        return cls(opened_to_read(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def settings(self) -> CollectionSettings:
        """How this collection asks and trusts."""
        return from_plain(CollectionSettings, parse_json(self._setting("settings"), str(self.path)), str(self.path))

    def change(self, settings: CollectionSettings) -> None:
        """Ask and trust in another way from now on. Raises DinaError where a question that has votes would go."""
        with self._database.writing() as connection:
            asked = {row[0] for row in connection.execute("SELECT DISTINCT question FROM vote")}
            gone = sorted(asked - {one.id for one in settings.questions})
            if gone:
                raise DinaError(f"questions: {', '.join(gone)} have votes; accepted: settings that keep them")
            told = json.dumps(to_plain(settings))
            connection.execute("UPDATE setting SET value = ? WHERE name = 'settings'", (told,))

    def add_pairs(self, pairs: Iterable[NewPair], *, inside: bool = False) -> Added:
        """Add pairs to ask about; what is there already is known by content, and is not added again.

        With `inside` the bytes of pictures are kept in the store, else their paths. A pair whose picture cannot be
        read, or of a picture with itself, is refused and told; the others are added.
        """
        new: list[str] = []
        refused: list[str] = []
        known = 0
        given = list(pairs)
        for start in range(0, len(given), _TOGETHER):
            ready = self._looked_at(given[start : start + _TOGETHER], inside, refused)
            with self._database.writing() as connection:
                for one in ready:
                    try:
                        is_new = keep_pair(connection, self.folder, one)
                    except DinaError as error:
                        refused.append(str(error))
                        continue
                    new += [one.pair.id] if is_new else []
                    known += not is_new
        return Added(tuple(new), known, tuple(refused))

    def place(self, pair: NewPair) -> tuple[str, Side]:
        """Add a pair unless it is there; returns its id, and which of its pictures the first one is.

        Raises ValueError or OSError for pictures as `add_pairs` refuses them.
        """
        ready = ready_pair(self.folder, pair, inside=False)
        with self._database.writing() as connection:
            keep_pair(connection, self.folder, ready)
        return ready.pair.id, "a" if ready.pictures[0].content == ready.pair.image_a else "b"

    def _looked_at(self, pairs: Iterable[NewPair], inside: bool, refused: list[str]) -> list[ReadyPair]:
        """Those of the pairs whose pictures can be read; nobody who votes waits for this."""
        ready = []
        for pair in pairs:
            try:
                ready.append(ready_pair(self.folder, pair, inside))
            except (ValueError, OSError) as error:
                refused.append(str(error))
        return ready

    def pairs(self) -> list[Pair]:
        """All pairs, in the order in which they were added."""
        with self._database.reading() as connection:
            return read_pairs(connection)

    def pair(self, id: str) -> Pair:
        """The pair of an id. Raises DinaError for one that is not there."""
        with self._database.reading() as connection:
            return read_pair(connection, id)

    def repeat(self, id: str) -> Pair:
        """The pair that asks a pair again, made where it is not there yet."""
        with self._database.writing() as connection:
            found = read_pairs(connection, "WHERE repeats = ?", (id,))
            if not found:
                first = read_pair(connection, id)
                again = replace(first, id=f"{id}-again", kind="repeat", truth=None, repeats=id, at=time.time())
                found = [replace(again, chosen_by=None, eig=None)]
                insert_pair(connection, found[0])
            return found[0]

    def mark(self, chosen: Iterable[tuple[str, str, float]]) -> None:
        """Say how pairs were chosen: id, way, and the bits that a vote was expected to tell; those with votes stay."""
        told = "UPDATE pair SET chosen_by = ?, eig = ? WHERE id = ? AND id NOT IN (SELECT pair FROM vote)"
        with self._database.writing() as connection:
            connection.executemany(told, [(way, eig, id) for id, way, eig in chosen])

    def picture(self, content: str) -> bytes:
        """The bytes of a picture by its content.

        Raises FileNotFoundError where its file is gone, DinaError where it holds something else by now.
        """
        with self._database.reading() as connection:
            return picture_bytes(connection, stored_picture(connection, self.folder, content))

    def stored(self, content: str) -> StoredPicture:
        """Size and place of a picture. Raises DinaError for one that is not there."""
        with self._database.reading() as connection:
            return stored_picture(connection, self.folder, content)

    def join(self, name: str) -> int:
        """The number of an annotator by name, who joins with it at the first time.

        Only a salted hash of the name is stored: it tells one from another, and names nobody.
        """
        check_short("annotator", name)
        hashed = self._hashed(name)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO annotator (salt_hash, joined) VALUES (?, ?)", (hashed, time.time())
            )
            (number,) = connection.execute("SELECT id FROM annotator WHERE salt_hash = ?", (hashed,)).fetchone()
        return int(number)

    def number_of(self, name: str) -> int | None:
        """The number of whoever joined with a name; None where nobody did."""
        check_short("annotator", name)
        hashed = self._hashed(name)
        return next((one.id for one in self.annotators() if one.salt_hash == hashed), None)

    def _hashed(self, name: str) -> str:
        given = " ".join(name.split()).casefold()
        return hashlib.sha256(f"{self._setting('salt')}\0{given}".encode()).hexdigest()

    def annotators(self) -> list[Annotator]:
        """All who joined."""
        with self._database.reading() as connection:
            return [Annotator(*row) for row in connection.execute("SELECT id, salt_hash, joined FROM annotator")]

    def record(self, vote: NewVote) -> Recorded:
        """Record a vote; it is on disk when this returns. One whose client's id is known changes nothing.

        A second vote of an annotator on a pair and question is a correction: a new row that stands in the place of the
        former. Raises DinaError for a pair, annotator or question that is not there and for a client's id that came
        with another answer before, OSError where it could not be written.
        """
        with self._database.writing() as connection:
            known = vote_of_client(connection, vote.client_id)
            if known is not None:
                check_same(known, vote)
                return Recorded(known.id, False)
            read_pair(connection, vote.pair)
            _check_annotator(connection, vote.annotator)
            asked = [one.id for one in self.settings.questions]
            if vote.question not in asked:
                raise DinaError(f"question {vote.question!r:.80}; accepted: {', '.join(asked)}")
            return Recorded(add_vote(connection, vote), True)

    def undo(self, annotator: int, client_id: str) -> Vote | None:
        """Take back the last vote of an annotator that stands; returns it, or None where there is none.

        Taking back is recorded as a vote is: once for each client's id.
        """
        check_short("client_id", client_id)
        with self._database.writing() as connection:
            known = vote_of_client(connection, client_id)
            if known is not None and known.answer != UNDONE:
                raise DinaError(f"client_id {client_id!r:.80} came with a vote before; accepted: one of its own")
            if known is not None:
                return read_votes(connection, "WHERE id = ?", (known.corrects,))[0]
            _check_annotator(connection, annotator)
            last = last_of(connection, annotator)
            if last is not None:
                take_back(connection, last, client_id)
            return last

    def votes(self) -> list[Vote]:
        """The votes that stand, in the order in which they were recorded: the last of each annotator on each pair and
        question, where it was not taken back.
        """
        with self._database.reading() as connection:
            return read_votes(connection, f"WHERE {STANDING} ORDER BY id")

    def log(self) -> list[Vote]:
        """Every row that was recorded, corrected and taken back ones among them, in order."""
        with self._database.reading() as connection:
            return read_votes(connection, "ORDER BY id")

    def _begin(self, settings: CollectionSettings) -> None:
        """Give a new store its settings and its salt; one that has them keeps them."""
        with self._database.writing() as connection:
            for name, value in (("settings", json.dumps(to_plain(settings))), ("salt", secrets.token_hex(16))):
                connection.execute("INSERT OR IGNORE INTO setting VALUES (?, ?)", (name, value))

    def _setting(self, name: str) -> str:
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise DinaError(f"{self.path}: holds no {name}; accepted: a file that VoteStore.open began")
        return str(row[0])


def _check_annotator(connection: sqlite3.Connection, annotator: int) -> None:
    if connection.execute("SELECT 1 FROM annotator WHERE id = ?", (annotator,)).fetchone() is None:
        raise DinaError(f"annotator {annotator!r:.80}; accepted: one who joined")
