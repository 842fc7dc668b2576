"""Rows of a few named tensors, cut into shards: in memory, or in safetensors files."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from jaxtyping import Int64
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dina_lrm.data.cache.prompt_layout import RAGGED
from dina_lrm.data.cache.prompt_layout import Tensors as Tensors
from dina_lrm.data.cache.row_buffers import RowBuffers
from dina_lrm.data.cache.row_files import RowFile
from dina_lrm.data.cache.row_readers import Hashes, MemoryRows, RowReader, WrittenRows, stored_reader
from dina_lrm.runs.files import save_tensors
from dina_lrm.typed import DinaError


def row_count(tensors: Tensors) -> int:
    """Number of rows that the tensors of a shard have."""
    return len(tensors["real"] if "real" in tensors else next(iter(tensors.values())))


@dataclass(frozen=True)
class ShardInfo:
    """One stored shard: its file within the cache without the suffix, its number of rows, the hash of its tensors."""

    name: str
    rows: int
    sha256: str


Layout = dict[str, tuple[str, tuple[int, ...]]]
"""Type, as safetensors names it, and shape of each tensor of a shard."""


class AnyShard(ABC):
    """A shard that is not in memory, wherever it lies."""

    info: ShardInfo

    @abstractmethod
    def layout(self) -> Layout:
        """What its head says."""

    @abstractmethod
    def size(self) -> int:
        """Bytes of its file."""

    @abstractmethod
    def reader(self, hashes: Hashes | None = None) -> RowReader:
        """Who reads its rows."""

    @abstractmethod
    def read(self) -> Tensors:
        """Its tensors, which are those that were written."""


@final
@dataclass(frozen=True)
class StoredShard(AnyShard):
    """A shard that lies in a folder, and what the cache says of it."""

    folder: Path
    info: ShardInfo

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / f"{self.info.name}.safetensors"

    def layout(self) -> Layout:
        """What its head says, without its tensors; ValueError where that is no such file, is cut, or has other rows."""
        try:
            with safe_open(self.path, framework="pt") as file:
                parts = {name: file.get_slice(name) for name in file.keys()}
                found = {name: (str(part.get_dtype()), tuple(part.get_shape())) for name, part in parts.items()}
        except (SafetensorError, OSError) as error:
            raise DinaError(f"{self.path}: the file is damaged ({error}); encode the comparisons again") from error
        wrong = {
            name: shape[0] if shape else None
            for name, (_, shape) in found.items()
            if name not in RAGGED and shape[:1] != (self.info.rows,)
        }
        if wrong or not found:
            raise DinaError(
                f"{self.path}: holds {wrong or 'no'} rows, but the cache says {self.info.rows}; the file is damaged: "
                "encode the comparisons again"
            )
        return found

    def size(self) -> int:
        """Bytes of its file."""
        return self.path.stat().st_size

    def reader(self, hashes: Hashes | None = None) -> RowReader:
        """Who reads its rows; `hashes` are those of its rows, where they are known."""
        self.layout()
        return stored_reader(RowFile.of(self.path), WrittenRows(self.info.rows, self.info.sha256, hashes))

    def read(self) -> Tensors:
        """Its tensors, memory-mapped; ValueError where they are not those that were written, to the bit."""
        self.layout()
        with safe_open(self.path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if tensors_hash(tensors) != self.info.sha256:
            raise DinaError(
                f"{self.path}: its content is not what the cache recorded; the file was changed or is damaged: encode "
                "the comparisons again, or fetch the file from where it is whole"
            )
        return tensors


class ShardedRows:
    """A table whose columns are tensors with one entry for each row, spread over shards in order.

    A shard is a mapping of tensors, or one that is stored: of it rows are read where they are wanted, and compared with
    what was written when they are first read, so that nothing is computed from rows that are not those. `hashes` are
    those of all rows (`row_hashes`); without them the whole shard is compared. Prompts are handed out as a
    `Conditioning` has them, however they are laid out.
    """

    def __init__(
        self, shards: Sequence[Tensors | AnyShard], counts: Sequence[int], hashes: Hashes | None = None
    ) -> None:
        self._shards = list(shards)
        self.counts = tuple(counts)
        self._ends = torch.tensor([*counts], dtype=torch.long).cumsum(0)
        self._hashes = hashes
        self._open: dict[int, RowReader] = {}
        if hashes is not None and len(hashes) != len(self):
            raise DinaError(f"the table has {len(self)} rows and {len(hashes)} hashes of rows")

    @classmethod
    def of_tensors(cls, tensors: Tensors) -> ShardedRows:
        """A single shard in memory."""
        return cls([tensors], [row_count(tensors)])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of a row of each column; nothing where there is no shard."""
        if not self._shards:
            return {}
        first = self._shards[0]
        if isinstance(first, Mapping):
            return {name: tuple(values.shape[1:]) for name, values in first.items()}
        return {name: shape[1:] for name, (_, shape) in first.layout().items()}

    def shards(self) -> Iterator[Tensors]:
        """The tensors of each shard, in order."""
        for number in range(len(self._shards)):
            yield self._reader(number).tensors()

    def rows(self, indices: Int64[Tensor, " rows"], into: RowBuffers | None = None) -> dict[str, Tensor]:
        """Copies of the chosen rows, in the order asked, by column; in the memory of `into`, where that is given."""
        if len(indices) == 0 or int(indices.min()) < 0 or int(indices.max()) >= len(self):
            raise IndexError(f"rows {indices.tolist()[:8]} of a table with {len(self)} rows")
        shard_of = torch.searchsorted(self._ends, indices.contiguous(), right=True)
        found: dict[str, Tensor] = {}
        for number in shard_of.unique().tolist():
            places = (shard_of == number).nonzero().flatten()
            local = indices[places] - (int(self._ends[number]) - self.counts[number])
            reader = self._reader(number)
            for column, (dtype, shape) in reader.columns.items():
                if column not in found:
                    size = (len(indices), *shape)
                    found[column] = torch.empty(size, dtype=dtype) if into is None else into.take(column, size, dtype)
            reader.fill(local.tolist(), places.tolist(), found)
        return found

    def _reader(self, number: int) -> RowReader:
        if number not in self._open:
            shard = self._shards[number]
            if isinstance(shard, Mapping):
                self._open[number] = MemoryRows(shard)
            else:
                end = int(self._ends[number])
                hashes = None if self._hashes is None else self._hashes[end - self.counts[number] : end]
                self._open[number] = shard.reader(hashes)
        return self._open[number]


def shard_name(prefix: str, number: int) -> str:
    """Name of a shard, its file within the cache without the suffix."""
    return f"{prefix}{number:05d}"


def stored_rows(folder: Path, shards: Sequence[ShardInfo], hashes: Hashes | None = None) -> ShardedRows:
    """The table whose shards lie in `folder`; `hashes` are those of all its rows, where they were written down.

    Raises FileNotFoundError naming those that do not, ValueError for one that is no regular file, is cut, or differs
    from the others in its columns, types or shapes.
    """
    stored = [StoredShard(folder, shard) for shard in shards]
    gone = [f"{shard.info.name}.safetensors" for shard in stored if not shard.path.exists()]
    if gone:
        raise FileNotFoundError(f"{folder}: {', '.join(gone)} of the cache is gone; encode the comparisons again")
    first: Layout | None = None
    for shard in stored:
        if shard.path.is_symlink() or not shard.path.is_file():
            raise DinaError(f"{shard.path}: is a link or no file; accepted: the file that prepare wrote")
        layout = {name: (kind, shape[1:]) for name, (kind, shape) in shard.layout().items()}
        first = first or layout
        # Prompts that their layout could not hold lie in a shard of another one, and are handed out alike
        if layout != first and shard.reader().columns != stored[0].reader().columns:
            raise DinaError(f"{shard.path}: holds {layout}, the shards before it {first}; the file is damaged")
    return ShardedRows(stored, [shard.rows for shard in shards], hashes)


def write_shards(folder: Path, prefix: str, table: ShardedRows) -> tuple[ShardInfo, ...]:
    """Write every shard of a table."""
    return tuple(
        write_shard(folder, shard_name(prefix, number), tensors) for number, tensors in enumerate(table.shards())
    )


def write_shard(folder: Path, name: str, tensors: Tensors, head: Mapping[str, str] | None = None) -> ShardInfo:
    """Write one shard, whole and flushed, with more in its head; returns what the cache records of it.

    Raises ValueError for values that are not finite: nothing could be learnt from them.
    """
    check_finite(name, tensors)
    path = folder / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(path, tensors, head)
    return ShardInfo(name, row_count(tensors), tensors_hash(tensors))


def check_finite(name: str, tensors: Tensors) -> None:
    """Raise ValueError, naming column and row, for a value that is not finite."""
    for column, values in tensors.items():
        rows = bad_rows(values)
        if rows:
            raise DinaError(f"{name}: row {rows[0]} of {column} holds NaN or infinity; accepted: finite values")


def bad_rows(values: Tensor) -> list[int]:
    """The rows that hold a NaN or an infinity."""
    if not values.is_floating_point():
        return []
    finite = values.isfinite().reshape(len(values), values[:1].numel())
    found: list[int] = (~finite.all(dim=1)).nonzero().flatten().tolist()
    return found


def tensors_hash(tensors: Tensors) -> str:
    """SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
