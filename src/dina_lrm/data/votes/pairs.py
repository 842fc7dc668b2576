"""Pairs of a store: which picture is called a, and what makes two pairs the same."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dina_lrm.data.votes.pictures import LookedAt, keep_picture, look_at
from dina_lrm.data.votes.records import NewPair, Pair, Side
from dina_lrm.pictures.names import shown
from dina_lrm.typed import DinaError

_COLUMNS: Final = "id, prompt, image_a, image_b, kind, truth, repeats, source, chosen_by, eig, at"
_INSERT: Final = f"INSERT INTO pair ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class ReadyPair:
    """A pair whose pictures were looked at, with its canonical order."""

    pair: Pair
    pictures: tuple[LookedAt, LookedAt]


def canonical(prompt: str, first: str, second: str) -> tuple[str, str]:
    """Two pictures, by content, in the order that a hash of prompt and picture decides: "a" means nothing."""
    low, high = sorted((first, second), key=lambda one: hashlib.sha256(f"{prompt}\0{one}".encode()).hexdigest())
    return low, high


def pair_id(kind: str, prompt: str, image_a: str, image_b: str) -> str:
    """What a pair is known by: its kind, its prompt and its pictures, whatever their files are called."""
    return hashlib.sha256(f"{kind}\0{prompt}\0{image_a}\0{image_b}".encode()).hexdigest()[:20]


def ready_pair(folder: Path, given: NewPair, inside: bool) -> ReadyPair:
    """Look at the pictures of a pair, before anything is written.

    Raises ValueError or OSError for a picture that is none, DinaError for a picture with itself.
    """
    first, second = (look_at(folder, one, inside) for one in (given.first, given.second))
    if first.content == second.content:
        names = " and ".join(_named(one) for one in (given.first, given.second))
        raise DinaError(f"{names} hold the same picture; accepted: two pictures that differ")
    a, b = canonical(given.prompt, first.content, second.content)
    better = {None: None, "first": first.content, "second": second.content}[given.better]
    truth: Side | None = None if better is None else "a" if better == a else "b"
    told = (given.source, given.chosen_by, given.eig, time.time())
    found = Pair(pair_id(given.kind, given.prompt, a, b), given.prompt, a, b, given.kind, truth, None, *told)
    return ReadyPair(found, (first, second))


def keep_pair(connection: sqlite3.Connection, folder: Path, ready: ReadyPair) -> bool:
    """Add a pair unless it is there; returns whether it is new.

    Raises DinaError for a control whose answer was the other one before.
    """
    pair = ready.pair
    known = connection.execute("SELECT truth FROM pair WHERE id = ?", (pair.id,)).fetchone()
    if known is not None and known[0] != pair.truth:
        raise DinaError(f"control {pair.id}: its answer is {pair.truth} now and was {known[0]}; accepted: one answer")
    for picture in ready.pictures:
        keep_picture(connection, folder, picture)
    if known is None:
        insert_pair(connection, pair)
    return known is None


def insert_pair(connection: sqlite3.Connection, pair: Pair) -> None:
    """Add a row."""
    row = (pair.id, pair.prompt, pair.image_a, pair.image_b, pair.kind, pair.truth, pair.repeats)
    connection.execute(_INSERT, (*row, pair.source, pair.chosen_by, pair.eig, pair.at))


def read_pairs(connection: sqlite3.Connection, where: str = "", values: tuple[object, ...] = ()) -> list[Pair]:
    """Pairs in the order in which they were added."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM pair {where} ORDER BY number", values)
    return [Pair(*row) for row in rows]


def read_pair(connection: sqlite3.Connection, id: str) -> Pair:
    """The pair of an id. Raises DinaError for one that is not there."""
    found = read_pairs(connection, "WHERE id = ?", (id,))
    if not found:
        raise DinaError(f"pair {id!r:.80}; accepted: one that the store holds")
    return found[0]


def _named(given: Path | bytes) -> str:
    return f"{len(given)} bytes" if isinstance(given, bytes) else shown(given)
