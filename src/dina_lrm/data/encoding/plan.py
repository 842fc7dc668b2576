"""The plan of an encoding: what every row of the cache will be, before anything is encoded.

A SQLite file, so that memory does not grow with the data, planning that was stopped goes on, and any number of
processes read what they need of it: once `complete` it is only read. Beside it lies the file of the pictures that the
source gave without a path.

    images    key of the content, size or fault, where it is found          rows      (bucket, row) of images
    prompts   text, row                                                      tasks     the shards to be made
    seen      what was planned of each comparison                            pairs, missing

Where comparisons are added to a cache, its rows are there from the beginning, so that new ones come behind them:

    held      rows and shards of its buckets and prompts                     again     comparisons that it holds
    known     digests of its comparisons
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from dina_lrm.data.buckets import Bucket
from dina_lrm.data.cache import pairs
from dina_lrm.data.cache.tables import IMAGES_FILE, PAIRS_FILE, PROMPTS_FILE
from dina_lrm.data.cache.whole import WholeCache
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding.pictures import Looked, PictureChangedError, Place, place_of
from dina_lrm.data.encoding.tasks import Task, Work
from dina_lrm.data.named import as_text
from dina_lrm.typed import DinaError

PLAN: Final = "index.sqlite"
ASIDE: Final = "pictures.bin"
_KEYS: Final = "key TEXT PRIMARY KEY, name TEXT"
TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS settings (text TEXT);
CREATE TABLE IF NOT EXISTS complete (comparisons INT);
CREATE TABLE IF NOT EXISTS images ({_KEYS}, width INT, height INT, fault TEXT, path TEXT, offset INT, length INT,
    shape TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (bucket INT, row INT, key TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS places ON rows (bucket, row);
CREATE TABLE IF NOT EXISTS prompts (row INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS tasks (number INTEGER PRIMARY KEY, name TEXT UNIQUE, bucket INT, first INT, rows INT);
CREATE TABLE IF NOT EXISTS seen (number INTEGER PRIMARY KEY, digest TEXT, key_a TEXT, key_b TEXT);
CREATE TABLE IF NOT EXISTS pairs ({", ".join(pairs.COLUMNS)}, PRIMARY KEY (number));
CREATE TABLE IF NOT EXISTS held (bucket INT, rows INT, shards INT);
CREATE TABLE IF NOT EXISTS known (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS again ({", ".join(pairs.COLUMNS)}, PRIMARY KEY (number));
CREATE TABLE IF NOT EXISTS missing (number INTEGER PRIMARY KEY, pair_id TEXT, image TEXT, reason TEXT);
"""


@dataclass(frozen=True)
class Known:
    """How many comparisons, pictures (in a bucket) and prompts of what is planned a cache holds already."""

    pairs: int = 0
    pictures: int = 0
    prompts: int = 0


class PlanReader:
    """A plan that is complete: what each shard holds. It can be sent to another process, and is only read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.aside = folder, folder / ASIDE
        # Nobody writes to it any more: no locks are needed, which network disks may not have
        self._database = sqlite3.connect(f"{(folder / PLAN).absolute().as_uri()}?immutable=1", uri=True)

    def __reduce__(self) -> tuple[type[PlanReader], tuple[Path]]:
        return PlanReader, (self.folder,)

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._database.execute(query, values).fetchone()
        return found

    @property
    def is_complete(self) -> bool:
        """Whether every comparison is planned."""
        return self._database.execute("SELECT 1 FROM complete").fetchone() is not None

    def rows_of(self, bucket: int | None) -> int:
        """How many prompts there are (None), or images of a bucket."""
        if bucket is None:
            return int(self._one("SELECT COUNT(*) FROM prompts")[0])
        return int(self._one("SELECT COUNT(*) FROM rows WHERE bucket = ?", bucket)[0])

    def tasks(self) -> list[Task]:
        """Every shard, those of prompts first."""
        query = "SELECT name, bucket, first, rows FROM tasks ORDER BY number"
        return [Task(*values) for values in self._database.execute(query)]

    def prompts_of(self, task: Task) -> tuple[str, ...]:
        """The texts of a shard of prompts."""
        query = "SELECT text FROM prompts WHERE row >= ? AND row < ? ORDER BY row"
        return tuple(text for (text,) in self._database.execute(query, (task.first, task.first + task.rows)))

    def pictures_of(self, task: Task) -> tuple[Place, ...]:
        """Where the pictures of a shard are."""
        query = (
            "SELECT name, images.key, path, offset, length, shape FROM rows JOIN images ON images.key = rows.key "
            "WHERE bucket = ? AND row >= ? AND row < ? ORDER BY row"
        )
        found = self._database.execute(query, (task.bucket, task.first, task.first + task.rows))
        return tuple(_place(*values) for values in found)

    def first_pair_of(self, task: Task, place: int) -> int:
        """The number of the first comparison that needs a row."""
        row = task.first + place
        if task.bucket is None:
            return int(self._one("SELECT MIN(number) FROM pairs WHERE prompt = ?", row)[0])
        query = "SELECT MIN(number) FROM pairs WHERE (bucket_a, image_a) = (?, ?) OR (bucket_b, image_b) = (?, ?)"
        return int(self._one(query, *(task.bucket, row) * 2)[0])

    def pair_rows(self) -> Iterator[tuple[Any, ...]]:
        """Planned comparisons in order, their columns those of `pairs.COLUMNS`."""
        yield from self._database.execute("SELECT * FROM pairs ORDER BY number")

    def missing_rows(self) -> Iterator[tuple[Any, ...]]:
        """Number, pair id, image and reason of each comparison that is missing, in order."""
        yield from self._database.execute("SELECT * FROM missing ORDER BY number")

    def sizes_of(self, task: Task) -> Iterator[tuple[str, str, int, int]]:
        """Name, key, width and height of each picture of a shard."""
        query = (
            "SELECT name, images.key, width, height FROM rows JOIN images ON images.key = rows.key "
            "WHERE bucket = ? AND row >= ? AND row < ? ORDER BY row"
        )
        yield from self._database.execute(query, (task.bucket, task.first, task.first + task.rows))

    def work(self, task: Task, buckets: Sequence[Bucket]) -> Work:
        """All that makes a shard, beside the encoders."""
        if task.bucket is None:
            return Work(task, prompts=self.prompts_of(task))
        return Work(task, pictures=self.pictures_of(task), size=buckets[task.bucket], aside=self.aside)

    @property
    def pictures_at_fault(self) -> int:
        """How many pictures cannot be read, as planning saw."""
        return int(self._one("SELECT COUNT(*) FROM images WHERE fault IS NOT NULL")[0])

    @property
    def known(self) -> Known:
        """What the cache that is added to holds of what is planned."""
        named = "SELECT {0} FROM pairs UNION SELECT {0} FROM again"
        prompts = self._one(
            f"SELECT COUNT(*) FROM ({named.format('prompt AS row')}) "
            "JOIN held ON held.bucket IS NULL AND row < held.rows"
        )
        sides = " UNION ".join(named.format(f"bucket_{side} AS bucket, image_{side} AS row") for side in "ab")
        images = self._one(f"SELECT COUNT(*) FROM ({sides}) AS side JOIN held USING (bucket) WHERE row < held.rows")
        return Known(*self._one("SELECT COUNT(*) FROM again"), *images, *prompts)

    @property
    def counts(self) -> tuple[int, int]:
        """Comparisons that are planned, and that are missing."""
        return self._one("SELECT (SELECT COUNT(*) FROM pairs), (SELECT COUNT(*) FROM missing)")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


class Plan(PlanReader):
    """A plan that is being made in `folder`, in memory where that is None, for `settings`.

    Raises:
        ValueError: it was begun with other `settings`, or the file is none of a plan.
    """

    def __init__(self, folder: Path | None, settings: Mapping[str, Any]) -> None:
        self._where = "the encoding in memory" if folder is None else str(folder)
        self._scratch = tempfile.TemporaryDirectory() if folder is None else None
        self.folder = Path(self._scratch.name) if self._scratch is not None else Path(str(folder))
        self.aside = self.folder / ASIDE
        path = ":memory:" if folder is None else self.folder / PLAN
        self._is_open = True
        self._database = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        try:
            self._check_own()
            self._database.executescript(TABLES)
            self._add_later_columns()
            self._database.execute("BEGIN IMMEDIATE")
            self._check_settings(json.dumps(settings, sort_keys=True))
            self._end_aside = self._one("SELECT COALESCE(MAX(offset + length), 0) FROM images")[0]
            self._file = self.aside.open("ab")
            self._file.truncate(self._end_aside)  # what lies behind was put aside after the last commit
        except sqlite3.OperationalError as error:
            self.close()
            raise DinaError(f"{self._where}: cannot be written ({error}); is the disk full?") from error
        except sqlite3.DatabaseError as error:
            self.close()
            raise DinaError(
                f"{path}: is damaged, or no index of an encoding ({error}); remove {self._where} to begin again"
            ) from error
        except BaseException:
            self.close()
            raise

    def __reduce__(self) -> NoReturn:
        raise TypeError("a plan that is being made stays in its process; send PlanReader(folder)")

    def _check_own(self) -> None:
        """Raise ValueError for a database of somebody else, before anything is written to it."""
        found = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if found and not {"settings", "seen"} <= found:
            raise DinaError(f"{self._where}: holds a database that is no index of an encoding; choose another folder")

    def _add_later_columns(self) -> None:
        """Bring a plan that an earlier version began to the columns of today."""
        for table in ("pairs", "again"):
            there = {row[1] for row in self._database.execute(f"PRAGMA table_info({table})")}
            if pairs.NAMED not in there:
                self._database.execute(f"ALTER TABLE {table} ADD COLUMN {pairs.NAMED}")

    def _check_settings(self, settings: str) -> None:
        begun_with = self._database.execute("SELECT text FROM settings").fetchone()
        if begun_with is None:
            self._database.execute("INSERT INTO settings VALUES (?)", (settings,))
        elif begun_with[0] != settings:
            raise DinaError(
                f"{self._where} was begun with other settings: {begun_with[0]}; now given: {settings}. "
                "Go on with those, or remove the folder to begin again"
            )

    def knows(self, number: int, digest: str, keys: tuple[str, str], images: tuple[str, str]) -> bool:
        """Whether the comparison at `number` was planned; ValueError when another one was.

        `digest` is one of all but the images, which are known by their `keys` and named as `images`.
        """
        query = "SELECT digest, key_a, key_b FROM seen WHERE number = ?"
        before = self._database.execute(query, (number,)).fetchone()
        if before is None:
            if self.is_complete:
                raise self._other(f"number {number} is one more")
            self._database.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", (number, digest, *keys))
            return False
        changed = [image for image, key, known in zip(images, keys, before[1:], strict=True) if key != known]
        if before[0] != digest:
            raise self._other(f"number {number} differs (its prompt, label, weight or name is another)")
        if changed:
            told = f"number {number} differs ({' and '.join(changed)} changed)"
            raise PictureChangedError(str(self._other(told)))
        return True

    def _other(self, told: str) -> DinaError:
        return DinaError(
            f"{self._where} was begun with other comparisons: {told}. Give the same ones, or remove the folder to "
            "begin again"
        )

    def picture(self, key: str) -> tuple[int, int] | str | None:
        """Width and height of a picture, or what is wrong with it, or None when it was never looked at."""
        query = "SELECT width, height, fault FROM images WHERE key = ?"
        found = self._database.execute(query, (key,)).fetchone()
        if found is None:
            return None
        width, height, fault = found
        return fault if fault is not None else (width, height)

    def add_picture(self, key: str, found: Looked | str) -> None:
        """Record what was found of a picture, and put its bytes aside where it has no path."""
        if isinstance(found, str):
            values: tuple[Any, ...] = ("", None, None, found, "", 0, 0, "")
        else:
            offset, length = self._end_aside, len(found.aside)
            self._file.write(found.aside)
            self._end_aside += length
            values = (found.name, *found.size, None, found.path, offset, length, json.dumps(found.shape))
        self._database.execute(f"INSERT INTO images VALUES ({', '.join('?' * 9)})", (key, *values))

    def image_row(self, bucket: int, key: str) -> int:
        """The row of a picture in a bucket, the next one where it has none yet."""
        return self._row("rows WHERE bucket = ?", "key = ?", "INSERT INTO rows VALUES (?, ?, ?)", (bucket,), key)

    def prompt_row(self, text: str) -> int:
        """The row of a prompt, the next one where it has none yet."""
        return self._row("prompts WHERE TRUE", "text = ?", "INSERT INTO prompts VALUES (?, ?)", (), text)

    def _row(self, table: str, is_key: str, insert: str, where: tuple[int, ...], key: str) -> int:
        found = self._database.execute(f"SELECT row FROM {table} AND {is_key}", (*where, key)).fetchone()
        if found is not None:
            return int(found[0])
        row: int = self._one(f"SELECT COALESCE(MAX(row) + 1, 0) FROM {table}", *where)[0]
        self._database.execute(insert, (*where, row, key))
        return row

    def add_pair(
        self, number: int, comparison: Comparison, prompt: int, images: tuple[tuple[int, int], tuple[int, int]]
    ) -> None:
        """Record a comparison by the rows of its prompt and of its images, each (bucket, row)."""
        text = (comparison.pair_id, comparison.prompt_id, comparison.source)
        real = struct.unpack("ff", struct.pack("ff", comparison.preference, comparison.weight))  # as float32
        values = (number, prompt, *images[0], *images[1], *real, *text, as_text(comparison.preferences))
        table = "again" if self._is_known(values[1:]) else "pairs"
        self._database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    def add_missing(self, number: int, pair_id: str | None, image: str, reason: str) -> None:
        """Record a comparison that cannot be encoded."""
        self._database.execute("INSERT OR REPLACE INTO missing VALUES (?, ?, ?, ?)", (number, pair_id, image, reason))

    def begin_behind(self, cache: WholeCache) -> None:
        """Let rows and shards begin behind those of a cache, whose pictures, prompts and comparisons are known.

        Rows of it that hold nothing keep their places, and what they were to hold is tried again.
        """
        if self._database.execute("SELECT 1 FROM held").fetchone() is not None:
            return
        put, held = self._database.executemany, cache.tables
        buckets = (None, *range(len(cache.header.buckets)))
        put("INSERT INTO held VALUES (?, ?, ?)", ((b, cache.rows(b), len(cache.shards(b))) for b in buckets))
        images = (
            (bucket, row, key if sha256 else f"\0{row}") for bucket, row, _, key, _, _, sha256 in held[IMAGES_FILE]
        )
        put("INSERT INTO rows VALUES (?, ?, ?)", images)
        prompts = enumerate(held[PROMPTS_FILE])
        put(
            "INSERT INTO prompts VALUES (?, ?)",
            ((n, text if sha256 else f"\0{n}") for n, (text, *_, sha256) in prompts),
        )
        put("INSERT OR IGNORE INTO known VALUES (?)", ((_digest(row[1:]),) for row in held[PAIRS_FILE]))
        self.commit()

    def _is_known(self, told: tuple[Any, ...]) -> bool:
        return self._database.execute("SELECT 1 FROM known WHERE digest = ?", (_digest(told),)).fetchone() is not None

    def commit(self) -> None:
        """Bring what was planned so far to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def close_planning(self, comparisons: int, shard_of: Callable[[int | None], tuple[str, int]]) -> None:
        """Cut the rows into shards: of prompts (None), then of each bucket, a prefix and the rows of one.

        A plan that is complete says whether it is of so many comparisons.
        """
        if self.is_complete:
            planned = self._one("SELECT comparisons FROM complete")[0]
            if planned != comparisons:
                raise self._other(f"{planned} then, {comparisons} now")
            return
        buckets = self._database.execute("SELECT DISTINCT bucket FROM rows ORDER BY bucket").fetchall()
        for bucket in (None, *(each for (each,) in buckets)):
            prefix, most = shard_of(bucket)
            begin, shards = self._held_of(bucket)
            rows = self.rows_of(bucket)
            for number, first in enumerate(range(begin, rows, most), start=shards):
                values = (f"{prefix}{number:05d}", bucket, first, min(most, rows - first))
                self._database.execute("INSERT INTO tasks (name, bucket, first, rows) VALUES (?, ?, ?, ?)", values)
        self._database.execute("INSERT INTO complete VALUES (?)", (comparisons,))
        self.commit()

    def _held_of(self, bucket: int | None) -> tuple[int, int]:
        """Rows and shards that the cache has which is added to."""
        found = self._database.execute("SELECT rows, shards FROM held WHERE bucket IS ?", (bucket,)).fetchone()
        return found or (0, 0)

    def close(self) -> None:
        """Let go of the files; what is not committed is forgotten. May be called again."""
        if self._is_open:
            self._is_open = False
            with suppress(AttributeError):  # it was not opened yet
                self._file.close()
            # Closing alone keeps the transaction, and its lock, while any cursor is alive.
            self._database.rollback()
            self._database.close()
            if self._scratch is not None:
                self._scratch.cleanup()


def _digest(told: tuple[Any, ...]) -> bytes:
    """What two equal rows of a table have in common, their numbers aside."""
    return hashlib.sha256(repr(told).encode(errors="surrogatepass")).digest()


def _place(name: str, key: str, path: str, offset: int, length: int, shape: str) -> Place:
    return place_of(name, key, path, offset, length, tuple(json.loads(shape)))
