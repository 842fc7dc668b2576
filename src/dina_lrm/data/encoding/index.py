"""What an unfinished encoding knows: which images and prompts have a row already, and which comparisons were seen.

A small SQLite file, so that memory does not grow with the data and a run that was stopped can go on: the index is
committed together with each shard, and rows whose shard was not written are forgotten when it is opened again.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dina_lrm.data.cache import pairs
from dina_lrm.data.cache.format import PROMPTS_PREFIX
from dina_lrm.data.cache.shards import ShardInfo
from dina_lrm.data.comparison import Comparison
from dina_lrm.typed import DinaError

TABLES = f"""
CREATE TABLE IF NOT EXISTS settings (text TEXT);
CREATE TABLE IF NOT EXISTS images (key TEXT PRIMARY KEY, width INT, height INT, fault TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    prefix TEXT, row INT, key TEXT, note TEXT, sha256 TEXT, PRIMARY KEY (prefix, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS places ON rows (prefix, row);
CREATE TABLE IF NOT EXISTS shards (prefix TEXT, name TEXT PRIMARY KEY, rows INT, sha256 TEXT);
CREATE TABLE IF NOT EXISTS seen (number INTEGER PRIMARY KEY, digest TEXT, key_a TEXT, key_b TEXT);
CREATE TABLE IF NOT EXISTS bad_rows (prefix TEXT, row INT, reason TEXT, PRIMARY KEY (prefix, row)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pairs ({", ".join(pairs.COMMON_COLUMNS)}, PRIMARY KEY (number));
CREATE TABLE IF NOT EXISTS missing (number INTEGER PRIMARY KEY, pair_id TEXT, image TEXT, reason TEXT);
"""
_SIDED = tuple("bucket" if name in ("bucket_a", "bucket_b") else name for name in pairs.COLUMNS)
_HASH = (
    "CASE WHEN bad_rows.row IS NULL THEN rows.sha256 ELSE '' END FROM rows "
    "LEFT JOIN bad_rows ON bad_rows.prefix = rows.prefix AND bad_rows.row = rows.row"
)


class PicturesChangedError(DinaError):
    """Pictures are others now than when the encoding was begun, and everything else is as it was."""


class EncodingIndex:
    """The index of one encoding, in `path` or, with None, in memory.

    A table of tensors is known by the prefix of its shards ("prompts/", "latents/00/"); `key` is the identity of what a
    row encodes, `note` what is recorded of it (the name of an image, what was cut off a prompt).

    Raises:
        ValueError: the file was begun with other `settings`, or another process is writing it.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self._where = "the encoding in memory" if path is None else str(path.parent)
        self._database = sqlite3.connect(":memory:" if path is None else path, timeout=1.0, isolation_level=None)
        self._is_open = True
        self._next: dict[str, int] = {}
        try:
            self._check_own()
            self._database.executescript(TABLES)
            self._database.execute("BEGIN IMMEDIATE")
            self._check_settings(json.dumps(settings, sort_keys=True))
            self._forget_rows_without_shard()
        except sqlite3.OperationalError as error:
            self.close()
            raise DinaError(
                f"{self._where}: cannot be written ({error}); is another process encoding there?"
            ) from error
        except sqlite3.DatabaseError as error:
            self.close()
            raise DinaError(
                f"{path}: is damaged, or no index of an encoding ({error}); remove {self._where} to begin again"
            ) from error
        except ValueError:
            self.close()
            raise

    def _check_own(self) -> None:
        """Raise ValueError for a database of somebody else, before anything is written to it."""
        found = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if found and not {"settings", "seen", "shards"} <= found:
            raise DinaError(f"{self._where}: holds a database that is no index of an encoding; choose another folder")

    def _forget_rows_without_shard(self) -> None:
        for (prefix,) in self._database.execute("SELECT DISTINCT prefix FROM rows").fetchall():
            written = sum(shard.rows for shard in self.shards(prefix))
            self._database.execute("DELETE FROM bad_rows WHERE prefix = ? AND row >= ?", (prefix, written))
            self._database.execute("DELETE FROM rows WHERE prefix = ? AND row >= ?", (prefix, written))
            self._next[prefix] = written

    def _check_settings(self, settings: str) -> None:
        begun_with = self._database.execute("SELECT text FROM settings").fetchone()
        if begun_with is None:
            self._database.execute("INSERT INTO settings VALUES (?)", (settings,))
        elif begun_with[0] != settings:
            raise DinaError(
                f"{self._where} was begun with other settings: {begun_with[0]}; now given: {settings}. "
                "Go on with those, or remove the folder to begin again"
            )

    def check_seen(self, number: int, digest: str, keys: tuple[str, str], images: tuple[str, str]) -> None:
        """Raise ValueError when the comparison at `number` is another one than when this encoding was begun.

        `digest` is one of all but the images, which are known by their `keys` and named as `images`.
        """
        query = "SELECT digest, key_a, key_b FROM seen WHERE number = ?"
        before = self._database.execute(query, (number,)).fetchone()
        if before is None:
            self._database.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", (number, digest, *keys))
            return
        changed = [image for image, key, known in zip(images, keys, before[1:], strict=True) if key != known]
        if before[0] != digest or changed:
            told = f"{' and '.join(changed)} changed" if changed else "its prompt, label, weight or name is another"
            kind = PicturesChangedError if before[0] == digest else ValueError
            raise kind(
                f"{self._where} was begun with other comparisons: number {number} differs ({told}). "
                "Give the same ones, or remove the folder to begin again"
            )

    def size(self, image: str) -> tuple[int, int] | str | None:
        """Width and height of an image by its key, or what is wrong with it, or None when it was never looked at."""
        found = self._database.execute("SELECT width, height, fault FROM images WHERE key = ?", (image,)).fetchone()
        if found is None:
            return None
        width, height, fault = found
        return fault if fault is not None else (width, height)

    def add_size(self, image: str, size: tuple[int, int] | str) -> None:
        """Record the size of an image, or what is wrong with it."""
        values = (None, None, size) if isinstance(size, str) else (*size, None)
        self._database.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?)", (image, *values))

    def row(self, prefix: str, key: str) -> int | None:
        """The row that encodes `key`, None when there is none yet."""
        found = self._database.execute("SELECT row FROM rows WHERE prefix = ? AND key = ?", (prefix, key)).fetchone()
        return None if found is None else found[0]

    def add_row(self, prefix: str, key: str, note: str | None) -> int:
        """Give `key` the next row."""
        row = self._next.get(prefix, 0)
        self._next[prefix] = row + 1
        self._database.execute("INSERT INTO rows VALUES (?, ?, ?, ?, '')", (prefix, row, key, note))
        return row

    def set_note(self, prefix: str, key: str, note: str | None) -> None:
        """Replace what is recorded of a row."""
        self._database.execute("UPDATE rows SET note = ? WHERE prefix = ? AND key = ?", (note, prefix, key))

    def add_pair(
        self, number: int, comparison: Comparison, prompt: int, bucket: int, image_a: int, image_b: int
    ) -> None:
        """Record an encoded comparison."""
        text = (comparison.pair_id, comparison.prompt_id, comparison.source)
        real = struct.unpack("ff", struct.pack("ff", comparison.preference, comparison.weight))  # as float32
        values = (number, prompt, bucket, image_a, image_b, *real, *text)
        self._database.execute(f"INSERT OR REPLACE INTO pairs VALUES ({', '.join('?' * len(values))})", values)

    def add_missing(self, number: int, pair_id: str | None, image: str, reason: str) -> None:
        """Record a comparison that cannot be encoded."""
        self._database.execute("INSERT OR REPLACE INTO missing VALUES (?, ?, ?, ?)", (number, pair_id, image, reason))

    def name_of(self, prefix: str, row: int) -> str:
        """How the image or the prompt of a row is called."""
        query = "SELECT key, note FROM rows WHERE prefix = ? AND row = ?"
        key, note = self._database.execute(query, (prefix, row)).fetchone()
        return f"prompt {key!r:.80}" if prefix == PROMPTS_PREFIX else str(note)

    def add_bad_row(self, prefix: str, row: int, reason: str) -> None:
        """Record that what a row encodes gave no numbers; its comparisons are missing when all is done."""
        self._database.execute("INSERT OR REPLACE INTO bad_rows VALUES (?, ?, ?)", (prefix, row, reason))

    def leave_out_bad_rows(self) -> None:
        """Move the comparisons of bad rows to those that are missing."""
        found = self._database.execute("SELECT prefix, row, reason FROM bad_rows ORDER BY prefix, row").fetchall()
        for prefix, row, reason in found:
            name = self.name_of(prefix, row)
            where, values = "prompt = ?", [row]
            if prefix != PROMPTS_PREFIX:
                where, values = "bucket = ? AND ? IN (image_a, image_b)", [int(prefix.split("/")[1]), row]
            chosen = f"SELECT number, pair_id, ?, ? FROM pairs WHERE {where}"
            self._database.execute(f"INSERT OR REPLACE INTO missing {chosen}", (name, reason, *values))
            self._database.execute(f"DELETE FROM pairs WHERE {where}", values)

    def shards(self, prefix: str) -> list[ShardInfo]:
        """The shards written so far, in order."""
        found = self._database.execute(
            "SELECT name, rows, sha256 FROM shards WHERE prefix = ? ORDER BY name", (prefix,)
        )
        return [ShardInfo(*values) for values in found.fetchall()]

    def commit_shard(self, prefix: str, shard: ShardInfo) -> None:
        """Record a shard that lies on disk, and with it everything since the last one."""
        values = (prefix, shard.name, shard.rows, shard.sha256)
        self._database.execute("INSERT INTO shards VALUES (?, ?, ?, ?)", values)
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def pair_rows(self) -> Iterator[tuple[Any, ...]]:
        """Encoded comparisons in order, their columns those of `pairs.COLUMNS`."""
        return self._select(f"SELECT {', '.join(_SIDED)} FROM pairs ORDER BY number")

    def missing_rows(self) -> Iterator[tuple[Any, ...]]:
        """Number, pair id, image and reason of each comparison that is missing, in order."""
        return self._select("SELECT * FROM missing ORDER BY number")

    def set_hashes(self, prefix: str, hashes: Sequence[str]) -> None:
        """Record the hashes of the next rows of a table, behind those that its shards hold."""
        start = sum(shard.rows for shard in self.shards(prefix))
        values = [(sha256, prefix, start + place) for place, sha256 in enumerate(hashes)]
        self._database.executemany("UPDATE rows SET sha256 = ? WHERE prefix = ? AND row = ?", values)

    def prompt_rows(self) -> Iterator[tuple[Any, ...]]:
        """Text, what was cut, tokens and hash of each prompt, in order."""
        return self._select(f"SELECT key, note, -1, {_HASH} WHERE rows.prefix = ? ORDER BY rows.row", PROMPTS_PREFIX)

    def image_rows(self) -> Iterator[tuple[Any, ...]]:
        """The row of images.parquet of each image, by bucket, in order."""
        told = f"rows.row, note, rows.key, COALESCE(width, 0), COALESCE(height, 0), {_HASH}"
        query = f"SELECT rows.prefix, {told} LEFT JOIN images ON images.key = rows.key WHERE rows.prefix != ?"
        found = self._select(f"{query} ORDER BY rows.prefix, rows.row", PROMPTS_PREFIX)
        return ((int(prefix.split("/")[1]), *rest) for prefix, *rest in found)

    def bad_images(self) -> int:
        """Number of images that could not be read, or gave no numbers."""
        unread = "SELECT COUNT(*) FROM images WHERE fault IS NOT NULL"
        bad = "SELECT COUNT(*) FROM bad_rows WHERE prefix != ?"
        found: int = self._database.execute(unread).fetchone()[0]
        bad_found: int = self._database.execute(bad, (PROMPTS_PREFIX,)).fetchone()[0]
        return found + bad_found

    def _select(self, query: str, *values: str) -> Iterator[tuple[Any, ...]]:
        yield from self._database.execute(query, values)

    def close(self) -> None:
        """Let go of the file; what is not committed is forgotten. May be called again."""
        if self._is_open:
            self._is_open = False
            # Closing alone keeps the transaction, and its lock, while any cursor is alive.
            self._database.rollback()
            self._database.close()
