"""The SQLite file itself: opened, checked to be ours, and its failures as the library's own errors.

WAL mode lets a page write while a training run reads; every commit is flushed to the disk before it returns.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final
from urllib.parse import quote

from dina_lrm.data.votes.schema import APPLICATION, TABLES, VERSION
from dina_lrm.pictures.names import shown
from dina_lrm.runs.lock import BusyError
from dina_lrm.typed import DinaError

WAIT: Final = 30.0
"""Seconds to wait for another process that writes."""


@final
class Database:
    """One connection to a file of votes, which threads share; a second process has one of its own."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that change nothing."""
        with self._lock, failures(self.path):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction that is on disk when the block ends, and undone wholly where it fails."""
        with self._lock, failures(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; what was recorded is in it."""
        with self._lock:
            self._connection.close()


def opened(path: Path, create: bool) -> tuple[Database, bool]:
    """The file of votes at a path, to read and write, and whether it was made just now.

    Raises FileNotFoundError for a file that is not there and is not to be made, DinaError for one that is no file of
    votes, or of another version.
    """
    if path.is_dir():
        raise DinaError(f"{shown(path)}: is a folder; accepted: a file of votes, such as votes.sqlite")
    if not create and not path.is_file():
        raise FileNotFoundError(f"{shown(path)}: no such file")
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    with failures(path):
        connection = _connected(f"file:{_quoted(path)}?mode=rwc")
        made = False
        try:
            made = _made(path, connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
    return Database(path, connection), made


def opened_to_read(path: Path) -> Database:
    """The file at a path, to be read alone, also where nothing can be written beside it. Raises as `opened`."""
    if not path.is_file():
        raise FileNotFoundError(f"{shown(path)}: no such file")
    with failures(path):
        beside = path.with_name(path.name + "-wal")
        writable = os.access(path.absolute().parent, os.W_OK)
        how = "mode=ro" if writable or beside.exists() else "mode=ro&immutable=1"
        connection = _connected(f"file:{_quoted(path)}?{how}")
        try:
            check(path, connection)
        except BaseException:
            connection.close()
            raise
    return Database(path, connection)


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Raise DinaError for a file of something else, or of another version."""
    application, version = _marks(connection)
    if application != APPLICATION:
        raise DinaError(f"{shown(path)}: a database of something else; accepted: a file of votes of dina-lrm annotate")
    if version != VERSION:
        hint = "a newer dina-lrm wrote it; update this one" if version > VERSION else "it is older than this one reads"
        raise DinaError(f"{shown(path)}: a file of votes of version {version}; accepted: version {VERSION} ({hint})")


@contextmanager
def failures(path: Path) -> Iterator[None]:
    """What SQLite says went wrong, as our errors: nothing that was recorded before is lost by any of them."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BusyError(
                f"{shown(path)}: another process has been writing for {WAIT:g} s; accepted: to try again"
            ) from error
        if code == sqlite3.SQLITE_FULL:
            told = "the disk is full; what was recorded before is kept, this was not: make room and send it again"
            raise OSError(errno.ENOSPC, told, str(path)) from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise DinaError(f"{shown(path)}: no file of votes, or a damaged one ({error})") from error
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            raise OSError(errno.EIO, f"cannot be read or written ({error})", str(path)) from error
        raise


def _connected(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False)


def _quoted(path: Path) -> str:
    """A path as part of an address, byte by byte: names need not be text."""
    return quote(os.fsencode(path.absolute()))


def _made(path: Path, connection: sqlite3.Connection) -> bool:
    """Make the tables in an empty file, wholly or not at all; in any other, check that they are ours."""
    if not _is_empty(connection):
        check(path, connection)
        return False
    connection.execute("BEGIN IMMEDIATE")
    if not _is_empty(connection):  # another process was quicker
        connection.execute("ROLLBACK")
        check(path, connection)
        return False
    for table in TABLES:
        connection.execute(table)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    return True


def _is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file holds no table and no mark of anybody."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return tables == 0 and _marks(connection) == (0, 0)


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version
