"""Where a cache lies: a folder of this machine, or an address of which what is needed is copied here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dina_lrm.data.cache.remote.addresses import local_path, shown_address
from dina_lrm.data.cache.remote.copies import LocalCopies
from dina_lrm.data.cache.remote.rows import FetchedShard
from dina_lrm.data.cache.row_readers import Hashes
from dina_lrm.data.cache.shards import AnyShard, ShardedRows, ShardInfo, StoredShard, stored_rows


@dataclass(frozen=True)
class CachePlace:
    """The folder of a cache's header and tables, how the place is shown, and who opens its shards.

    `fetched` makes the shards of a cache at an address; None where they lie in the folder.
    """

    folder: Path
    shown: str
    fetched: Callable[[ShardInfo], FetchedShard] | None = None

    def shard(self, info: ShardInfo) -> AnyShard:
        """A shard, to be read."""
        return StoredShard(self.folder, info) if self.fetched is None else self.fetched(info)

    def fresh_shard(self, info: ShardInfo) -> AnyShard:
        """A shard, of which no copy is believed."""
        if self.fetched is None:
            return StoredShard(self.folder, info)
        found = self.fetched(info)
        found.drop()
        return found

    @contextmanager
    def file(self, info: ShardInfo) -> Iterator[Path]:
        """The file of a shard, or its copy, which stays until the block ends."""
        if self.fetched is None:
            yield StoredShard(self.folder, info).path
        else:
            with self.fetched(info).held() as copy:
                yield copy.path

    def rows(self, shards: Sequence[ShardInfo], hashes: Hashes | None = None) -> ShardedRows:
        """The table of these shards, as `stored_rows`; at an address no shard is looked at before it is needed."""
        if self.fetched is None:
            return stored_rows(self.folder, shards, hashes)
        return ShardedRows([self.fetched(info) for info in shards], [info.rows for info in shards], hashes)


def place_of(place: str | Path, copies: LocalCopies | None = None) -> CachePlace:
    """The place of a cache: a path, or an address that `fsspec` knows (`https://`, `s3://`, `memory://`, `file://`).

    Of an address header and tables are fetched at once. `copies` says where copies lie and how many; None is as the
    environment says (`LocalCopies.usual`).

    Raises:
        FileNotFoundError: there is no cache at the address.
        ValueError: what came from there is not what was written, or it did not come.
    """
    path = local_path(place)
    if path is not None:
        return CachePlace(path, str(path))
    from dina_lrm.data.cache.remote.opened import RemoteCache  # what speaks to servers is imported where it is needed

    remote = RemoteCache.of(str(place), copies or LocalCopies.usual())
    return CachePlace(remote.folder, shown_address(place), remote.shard)
