"""A cache at an address: its header and tables are copied when it is opened, its shards when they are needed."""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from dina_lrm.data.cache.format import HEADER, TABLES, CacheHeader, read_header
from dina_lrm.data.cache.remote.addresses import checked_address, shown_address
from dina_lrm.data.cache.remote.copies import LocalCopies
from dina_lrm.data.cache.remote.fetching import WrongContentError, fetch_file
from dina_lrm.data.cache.remote.rows import FetchedShard
from dina_lrm.data.cache.row_files import RowFile
from dina_lrm.data.cache.row_readers import content_hash
from dina_lrm.data.cache.shards import ShardInfo
from dina_lrm.runs.content import content_of
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.typed import DinaError

_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RemoteCache:
    """A cache at an address; `folder` holds its header and its tables."""

    address: str
    folder: Path
    header: CacheHeader
    copies: LocalCopies

    @classmethod
    def of(cls, address: str, copies: LocalCopies) -> RemoteCache:
        """Fetch header and tables.

        Raises:
            FileNotFoundError: there is no cache, or a table of it is gone.
            ValueError: what came is not what was written, or did not come (`fetch_file`).
        """
        address = checked_address(address)
        copies.check()
        copies.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=copies.folder, prefix=".header-") as scratch:
            header = _fetched_header(address, copies, Path(scratch))
            told = (Path(scratch) / HEADER).read_bytes()
        # Whatever password opened it, and none where it is kept
        key = hashlib.sha256(shown_address(address).encode() + told).hexdigest()[:32]
        cache = cls(address, copies.folder / "caches" / key, header, copies)
        cache.folder.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            cache._bring_table(name)
        with replaced_when_complete(cache.folder / HEADER) as temporary:
            temporary.write_bytes(told)
        return cache

    @property
    def shown(self) -> str:
        """The address without a name and password."""
        return shown_address(self.address)

    def shard(self, info: ShardInfo) -> FetchedShard:
        """One of its shards. Raises ValueError for one without a hash, by which its copy is called."""
        if _HASH.fullmatch(info.sha256) is None:
            raise DinaError(f"{self.shown}: shard {info.name} has the hash {info.sha256!r}; accepted: a SHA-256")
        return FetchedShard(info, self.copies, partial(self._fetch_shard, info))

    def _bring_table(self, name: str) -> None:
        recorded, path = self.header.tables.get(name), self.folder / name
        if recorded is not None and path.is_file() and content_of(path) == recorded:
            return
        with replaced_when_complete(path) as temporary:
            fetch_file(f"{self.address}/{name}", temporary, partial(_check_table, recorded), self.copies.patience)

    def _fetch_shard(self, info: ShardInfo, out: Path) -> None:
        name = f"{info.name}.safetensors"
        try:
            fetch_file(
                f"{self.address}/{name}", out, partial(_check_shard, info), self.copies.patience, self.copies.most
            )
        except (FileNotFoundError, WrongContentError) as error:
            self._check_same(name)
            if isinstance(error, FileNotFoundError):
                raise FileNotFoundError(f"{self.shown}: {name} of the cache is gone; encode it again there") from error
            raise

    def _check_same(self, name: str) -> None:
        """Raise ValueError where another cache lies at the address by now."""
        with tempfile.TemporaryDirectory(dir=self.copies.folder, prefix=".header-") as scratch:
            found = _fetched_header(self.address, self.copies, Path(scratch))
        if (found.content, found.sha256) != (self.header.content, self.header.sha256):
            raise DinaError(
                f"{self.shown}: another cache was put there since this one was opened, and {name} is no longer its "
                f"own: the content was {self.header.content[:12]}, with {len(self.header.shards)} shards, and is "
                f"{found.content[:12]}, with {len(found.shards)}; open it again, or put the earlier one back"
            )


def _fetched_header(address: str, copies: LocalCopies, scratch: Path) -> CacheHeader:
    shown = shown_address(address)
    try:
        fetch_file(f"{address}/{HEADER}", scratch / HEADER, lambda path: None, copies.patience)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{shown}: no cache of comparisons there ({HEADER} is missing)") from error
    try:
        return read_header(scratch)
    except ValueError as error:
        raise DinaError(str(error).replace(str(scratch), shown)) from error


def _check_table(recorded: str | None, path: Path) -> None:
    if recorded is not None and content_of(path) != recorded:
        raise WrongContentError(f"what came is not what {HEADER} recorded")


def _check_shard(info: ShardInfo, path: Path) -> None:
    try:
        file = RowFile.of(path)
        with file.opened() as descriptor:
            found = content_hash(file, descriptor)
    except DinaError as error:
        raise WrongContentError("what came is no whole file of tensors") from error
    if found != info.sha256:
        raise WrongContentError(f"what came has the hash {found[:12]}, and {HEADER} recorded {info.sha256[:12]}")
