"""Rows of tensors in a safetensors file, read one by one where they are wanted.

A row is read from the file into memory that is there already, not mapped: what is read once leaves nothing behind in
the process, however large the file, and a buffer that is used again costs no new pages, which are most of the time of a
large row.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from dina_lrm.typed import DinaError

_DTYPES: Final = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_LARGEST_HEAD: Final = 100_000_000
"""Bytes, as safetensors has it."""


@dataclass(frozen=True)
class StoredColumn:
    """Type and shape of a tensor in a file, and the byte that it begins at."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one entry of its first dimension."""
        return self.dtype.itemsize * int(torch.Size(self.shape[1:]).numel())


@dataclass(frozen=True)
class RowFile:
    """A safetensors file whose tensors are read by their rows."""

    path: Path
    columns: dict[str, StoredColumn]
    stamp: tuple[int, int, int]
    """Number, size and time of the file: one that was put in its place is another."""

    @classmethod
    def of(cls, path: Path) -> RowFile:
        """Read the head of a file. Raises ValueError for one that is no safetensors file, or is cut."""
        try:
            with path.open("rb") as file:
                told = os.fstat(file.fileno())
                columns = _columns(file.read(8), file.read, told.st_size)
        except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
            raise DinaError(f"{path}: the file is damaged ({error}); encode the comparisons again") from error
        return cls(path, columns, _stamp(told))

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor to read from. Raises ValueError where the file is gone or is another than it was."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DinaError(f"{self.path}: cannot be read ({error.strerror}); encode the comparisons again") from error
        try:
            if _stamp(os.fstat(descriptor)) != self.stamp:
                raise DinaError(f"{self.path}: was changed while it was read; open the cache again")
            yield descriptor
        finally:
            os.close(descriptor)

    def fill(self, descriptor: int, name: str, row: int, out: Tensor) -> None:
        """Read as many rows of a tensor as `out` (contiguous, on the CPU) holds, from `row` on."""
        column = self.columns[name]
        place = out.view(-1).view(torch.uint8).numpy().data if out.numel() else memoryview(b"")
        start = column.start + row * column.row_bytes
        while place.nbytes:
            count = os.preadv(descriptor, [place], start)
            if count == 0:
                raise DinaError(f"{self.path}: the file ends within {name}; encode the comparisons again")
            place, start = place[count:], start + count

    def whole(self, descriptor: int, name: str) -> Tensor:
        """All rows of a tensor."""
        column = self.columns[name]
        out = torch.empty(column.shape, dtype=column.dtype)
        self.fill(descriptor, name, 0, out)
        return out

    def chunks(self, descriptor: int, name: str, most: int = 1 << 20) -> Iterator[memoryview]:
        """The bytes of a tensor, a few at a time, in memory that is used again."""
        column = self.columns[name]
        left = column.dtype.itemsize * int(torch.Size(column.shape).numel())
        start, buffer = column.start, memoryview(bytearray(min(most, left)))
        while left:
            count = os.preadv(descriptor, [buffer[:left]], start)
            if count == 0:
                raise DinaError(f"{self.path}: the file ends within {name}; encode the comparisons again")
            yield buffer[:count]
            start, left = start + count, left - count


def _columns(size: bytes, read: object, total: int) -> dict[str, StoredColumn]:
    (length,) = struct.unpack("<Q", size)
    if length > min(_LARGEST_HEAD, total - 8):
        raise DinaError(f"its head of {length} bytes is longer than itself")
    assert callable(read)
    head = json.loads(read(length))
    found = {}
    for name, told in head.items():
        if name == "__metadata__":
            continue
        first, last = told["data_offsets"]
        column = StoredColumn(_DTYPES[told["dtype"]], tuple(told["shape"]), 8 + length + first)
        if last - first != column.dtype.itemsize * torch.Size(column.shape).numel() or 8 + length + last > total:
            raise DinaError(f"{name} ends at byte {8 + length + last} of {total}")
        found[name] = column
    return found


def _stamp(told: os.stat_result) -> tuple[int, int, int]:
    return told.st_ino, told.st_size, told.st_mtime_ns
