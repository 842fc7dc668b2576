"""Shards at an address: fetched whole when a row of them is first wanted, and read from their copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, final

from torch import Tensor

from dina_lrm.data.cache.prompt_layout import Tensors
from dina_lrm.data.cache.remote.copies import LocalCopies
from dina_lrm.data.cache.row_readers import Columns, Hashes, RowReader
from dina_lrm.data.cache.shards import AnyShard, Layout, ShardInfo, StoredShard
from dina_lrm.typed import DinaError

T = TypeVar("T")
_Stamp = tuple[int, int, int]


@final
@dataclass(frozen=True)
class FetchedShard(AnyShard):
    """A shard at an address; `fetch` writes it, whole and compared with its hash, to a path."""

    info: ShardInfo
    copies: LocalCopies
    fetch: Callable[[Path], None]

    @contextmanager
    def held(self) -> Iterator[StoredShard]:
        """Its copy, which stays until the block ends."""
        with self.copies.held(self.info.sha256, self.fetch) as path:
            yield StoredShard(path.parent, replace(self.info, name=path.stem))

    def layout(self) -> Layout:
        """As that of its copy."""
        return self.with_copy(StoredShard.layout)

    def size(self) -> int:
        """Bytes of its copy."""
        return self.with_copy(StoredShard.size)

    def reader(self, hashes: Hashes | None = None) -> RowReader:
        """Who reads its rows; nothing is fetched yet."""
        return _FetchedRows(self, hashes)

    def read(self) -> Tensors:
        """Its tensors; ValueError where they are not those that were written, to the bit."""
        return self.with_copy(StoredShard.read)

    def drop(self) -> None:
        """Remove its copy, so that it is fetched again."""
        self.copies.drop(self.info.sha256)

    def with_copy(self, work: Callable[[StoredShard], T]) -> T:
        """Do the work with its copy; once more with a fresh one where that turns out to be damaged."""
        with self.held() as copy:
            try:
                return work(copy)
            except DinaError:
                pass
        self.drop()
        with self.held() as copy:
            return work(copy)


@final
class _FetchedRows(RowReader):
    """The rows of a shard whose copy may go and come back at any time between two readings."""

    def __init__(self, shard: FetchedShard, hashes: Hashes | None) -> None:
        self._shard, self._hashes = shard, hashes
        self._known: tuple[_Stamp, RowReader] | None = None

    @property
    def columns(self) -> Columns:
        return self._shard.with_copy(lambda copy: self._of(copy).columns)

    def fill(self, rows: Sequence[int], places: Sequence[int], out: Mapping[str, Tensor]) -> None:
        self._shard.with_copy(lambda copy: self._of(copy).fill(rows, places, out))

    def tensors(self) -> Tensors:
        return self._shard.with_copy(lambda copy: self._of(copy).tensors())

    def _of(self, copy: StoredShard) -> RowReader:
        """Who reads the copy: who read it before, unless it was fetched again since."""
        found = copy.path.stat()
        stamp = found.st_ino, found.st_size, found.st_mtime_ns
        known = self._known
        if known is None or known[0] != stamp:
            known = self._known = stamp, copy.reader(self._hashes)
        return known[1]
