"""Pictures of a store, known by what they hold: one that lies there under two names is one."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from dina_lrm.pictures.files import file_bytes, measured_bytes
from dina_lrm.pictures.names import shown
from dina_lrm.screen import whole
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class StoredPicture:
    """A picture: SHA-256 of its bytes, its size in pixels, and the file that holds it; None: it is in the store."""

    content: str
    path: Path | None
    width: int
    height: int


@dataclass(frozen=True)
class LookedAt:
    """A picture that may be kept: its content, and its path as the store names it or its bytes."""

    content: str
    path: str | None
    data: bytes | None
    width: int
    height: int


def look_at(folder: Path, given: Path | bytes, inside: bool) -> LookedAt:
    """Read a picture and measure it.

    A file is named by its path relative to `folder`; its bytes are kept in its place where they are to be `inside`, or
    where its name is no text. Raises ValueError or OSError for what is no picture.
    """
    data = given if isinstance(given, bytes) else file_bytes(given)
    width, height = measured_bytes(data, "picture" if isinstance(given, bytes) else str(given))
    path = None if isinstance(given, bytes) or inside else _relative(given, folder)
    return LookedAt(hashlib.sha256(data).hexdigest(), path, data if path is None else None, width, height)


def keep_picture(connection: sqlite3.Connection, folder: Path, seen: LookedAt) -> None:
    """Add a picture unless it is there; where the file that it was known by is gone, the new one takes its place."""
    known = connection.execute("SELECT path FROM picture WHERE content = ?", (seen.content,)).fetchone()
    if known is None:
        row = (seen.content, seen.path, seen.data, seen.width, seen.height)
        connection.execute("INSERT INTO picture VALUES (?, ?, ?, ?, ?)", row)
    elif known[0] is not None and not (folder / known[0]).is_file():
        where = (seen.path, seen.data, seen.content)
        connection.execute("UPDATE picture SET path = ?, bytes = ? WHERE content = ?", where)


def stored_picture(connection: sqlite3.Connection, folder: Path, content: str) -> StoredPicture:
    """What the store knows of a picture. Raises DinaError for one that it does not hold."""
    row = connection.execute("SELECT path, width, height FROM picture WHERE content = ?", (content,)).fetchone()
    if row is None:
        raise DinaError(f"picture {content!r:.80}; accepted: one that the store holds")
    return StoredPicture(content, None if row[0] is None else folder / row[0], row[1], row[2])


def picture_bytes(connection: sqlite3.Connection, found: StoredPicture) -> bytes:
    """The bytes of a picture, which are those that it was added with.

    Raises FileNotFoundError where its file is gone, DinaError where it holds something else by now.
    """
    if found.path is None:
        (data,) = connection.execute("SELECT bytes FROM picture WHERE content = ?", (found.content,)).fetchone()
        return bytes(data)
    data = file_bytes(found.path)
    if hashlib.sha256(data).hexdigest() != found.content:
        raise DinaError(f"{shown(found.path)}: holds another picture than the one that was voted on")
    return data


def _relative(path: Path, folder: Path) -> str | None:
    """The name of a file seen from a folder; None for a name that is no text."""
    name = os.path.relpath(path.resolve(), folder.resolve()).replace(os.sep, "/")
    return name if whole(name) == name else None
