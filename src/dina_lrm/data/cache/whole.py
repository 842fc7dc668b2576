"""A cache of format 2 as a whole: all of its tables in memory, its files looked at, its shards to be put elsewhere."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dina_lrm.data.cache import tables
from dina_lrm.data.cache.format import read_header
from dina_lrm.data.cache.place import place_of
from dina_lrm.data.cache.shards import ShardInfo, shard_name
from dina_lrm.typed import DinaError


class WholeCache:
    """The header and the tables of a cache, its files looked at: of shards the heads alone, at an address none.

    Raises FileNotFoundError where a file is gone, ValueError for one that is damaged, and for a cache of format 1.
    """

    def __init__(self, cache: Path | str) -> None:
        self.place = place_of(cache)
        self.folder, self.header = self.place.folder, read_header(self.place.folder)
        if self.header.format_version == 1:
            raise DinaError(
                f"{self.shown}: is of format 1, which knows no hashes of rows; accepted: what `dina-lrm cache "
                "upgrade` makes of it"
            )
        for shards in (*(bucket.shards for bucket in self.header.buckets), self.header.prompts):
            self.place.rows(shards)
        self.tables = {name: self._columns(name) for name in tables.SCHEMAS[2]}

    @property
    def shown(self) -> str:
        """Where it lies, as it may be shown."""
        return self.place.shown

    def shards(self, bucket: int | None) -> tuple[ShardInfo, ...]:
        """Those of a bucket, or of the prompts."""
        return self.header.prompts if bucket is None else self.header.buckets[bucket].shards

    @property
    def end(self) -> int:
        """The number behind the last comparison of the stream that it was made of."""
        rows = (*self.tables[tables.PAIRS_FILE], *self.tables[tables.MISSING_FILE])
        return 1 + max((row[0] for row in rows), default=-1)

    def rows(self, bucket: int | None) -> int:
        """How many images a bucket has, or how many prompts there are."""
        return sum(shard.rows for shard in self.shards(bucket))

    def _columns(self, name: str) -> list[tuple[Any, ...]]:
        columns = tables.read_columns(self.folder, name, self.header).values()
        return list(zip(*(v if isinstance(v, list) else v.tolist() for v in columns), strict=True))


class PlacedShards:
    """Shards of caches in a new folder, by hard links where the file system has them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.linked, self.copied = folder, 0, 0

    def table(self, prefix: str, sources: Sequence[WholeCache], bucket: int | None) -> tuple[ShardInfo, ...]:
        """The shards of a table, numbered anew."""
        found: list[ShardInfo] = []
        for source in sources:
            for shard in source.shards(bucket):
                name = shard_name(prefix, len(found))
                with source.place.file(shard) as path:
                    self._place(path, self.folder / f"{name}.safetensors")
                found.append(dataclasses.replace(shard, name=name))
        return tuple(found)

    def _place(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # of a run that was killed
        try:
            os.link(source, target)
            self.linked += 1
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)
            self.copied += 1
