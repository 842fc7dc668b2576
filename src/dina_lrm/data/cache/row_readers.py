"""Where the rows of a table come from: tensors in memory, or a file of tensors or of prompts laid out to save space.

Nothing is handed out that is not what was written: with a hash for each row a row is compared when it is first read,
without them the whole shard is.
"""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dina_lrm.data.cache.prompt_layout import Tensors, mask_of, prompt_hash, row_hash, unpacked
from dina_lrm.data.cache.row_files import RowFile
from dina_lrm.typed import DinaError

Hashes = NDArray[Any]
"""The hash of each row in hexadecimal, as bytes."""
Columns = dict[str, tuple[torch.dtype, tuple[int, ...]]]
"""Type and shape of a row of each column that is handed out."""


class RowReader(ABC):
    """The rows of one shard."""

    @property
    @abstractmethod
    def columns(self) -> Columns:
        """What a row is made of."""

    @abstractmethod
    def fill(self, rows: Sequence[int], places: Sequence[int], out: Mapping[str, Tensor]) -> None:
        """Copy rows into those places of `out`."""

    @abstractmethod
    def tensors(self) -> Tensors:
        """All rows, by column."""


@final
class MemoryRows(RowReader):
    """Rows of tensors in memory."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    @property
    def columns(self) -> Columns:
        """Those of the tensors."""
        return {name: (values.dtype, tuple(values.shape[1:])) for name, values in self._tensors.items()}

    def fill(self, rows: Sequence[int], places: Sequence[int], out: Mapping[str, Tensor]) -> None:
        """Copy rows."""
        chosen, there = torch.as_tensor(rows), torch.as_tensor(places)
        for name, values in self._tensors.items():
            out[name][there] = values[chosen]

    def tensors(self) -> Tensors:
        """The tensors themselves."""
        return self._tensors


@dataclass(frozen=True)
class WrittenRows:
    """What was written down of the rows of a shard: their number, the hash of all, and one of each where there is.

    A row with an empty hash holds zeros for what could not be encoded, and is not compared.
    """

    rows: int
    sha256: str
    hashes: Hashes | None = None


def stored_reader(file: RowFile, written: WrittenRows) -> RowReader:
    """Who reads a file: by its columns, of prompts or of anything with one entry a row."""
    kind = _StoredPrompts if {"real", "prompt_embeds"} & {*file.columns} else _StoredRows
    return kind(file, written)


@dataclass(eq=False)
class _StoredRows(RowReader):
    """Rows of tensors with one entry a row."""

    file: RowFile
    written: WrittenRows
    _known: np.ndarray = field(init=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._known = np.zeros(self.written.rows, dtype=bool)

    @property
    def columns(self) -> Columns:
        return {name: (column.dtype, column.shape[1:]) for name, column in self.file.columns.items()}

    def fill(self, rows: Sequence[int], places: Sequence[int], out: Mapping[str, Tensor]) -> None:
        with self.file.opened() as descriptor:
            self._check_whole(descriptor)
            for name in self.file.columns:
                for row, place, count in _runs(rows, places):
                    self.file.fill(descriptor, name, row, out[name][place : place + count])
        self._check_rows(rows, places, out)

    def tensors(self) -> Tensors:
        with self.file.opened() as descriptor:
            found = {name: self.file.whole(descriptor, name) for name in self.file.columns}
            self._check_whole(descriptor)
        self._check_rows(range(self.written.rows), range(self.written.rows), found)
        return found

    def _check_whole(self, descriptor: int) -> None:
        if self.written.hashes is not None or self._known.all():
            return
        with self._lock:
            if not self._known.all():
                if content_hash(self.file, descriptor) != self.written.sha256:
                    raise DinaError(
                        f"{self.file.path}: its content is not what the cache recorded; the file was changed or is "
                        "damaged: encode the comparisons again, or fetch the file from where it is whole"
                    )
                self._known[:] = True

    def _check_rows(self, rows: Sequence[int], places: Sequence[int], out: Mapping[str, Tensor]) -> None:
        hashes = self.written.hashes
        for row, place in zip(rows, places, strict=True):
            if self._known[row]:
                continue
            assert hashes is not None
            if hashes[row] and self._hash_of(place, out) != hashes[row].decode():
                raise DinaError(
                    f"{self.file.path}: row {row} is not what the cache recorded; the file was changed or is damaged: "
                    "encode the comparisons again, or fetch the file from where it is whole"
                )
            self._known[row] = True

    def _hash_of(self, place: int, out: Mapping[str, Tensor]) -> str:
        return row_hash({name: out[name][place] for name in self.columns})


@final
class _StoredPrompts(_StoredRows):
    """Prompts as `prompt_layout` has them, handed out as a `Conditioning` holds them."""

    @cached_property
    def _shape(self) -> tuple[int, int, int, int]:
        """Tokens of the short encoder, width of their states, tokens of the rest, and width."""
        columns = self.file.columns
        if "prompt_embeds" in columns:
            _, tokens, width = columns["prompt_embeds"].shape
            return 0, 0, tokens, width
        short, narrow = columns["clip"].shape[1:] if "clip" in columns else (0, 0)
        if "t5" in columns:
            _, tokens, width = columns["t5"].shape
            return short, narrow, tokens, width
        return short, narrow, int(self._small["length"]), columns["tokens"].shape[1]

    @cached_property
    def _small(self) -> dict[str, Tensor]:
        """Where ragged rows lie, and how many tokens of each are real."""
        names = [name for name in ("length", "offsets", "real") if name in self.file.columns]
        with self.file.opened() as descriptor:
            return {name: self.file.whole(descriptor, name) for name in names}

    @property
    def columns(self) -> Columns:
        return self._columns

    @cached_property
    def _columns(self) -> Columns:
        stored = self.file.columns
        short, _, long, width = self._shape
        states = next(stored[name] for name in ("prompt_embeds", "tokens", "t5") if name in stored)
        found: Columns = {"prompt_embeds": (states.dtype, (short + long, width))}
        if "pooled_prompt_embeds" in stored:
            pooled = stored["pooled_prompt_embeds"]
            found["pooled_prompt_embeds"] = pooled.dtype, pooled.shape[1:]
        if {"real", "prompt_mask"} & {*stored}:
            found["prompt_mask"] = torch.bool, (short + long,)
        return found

    def fill(self, rows: Sequence[int], places: Sequence[int], out: Mapping[str, Tensor]) -> None:
        with self.file.opened() as descriptor:
            self._check_whole(descriptor)
            for row, place in zip(rows, places, strict=True):
                self._fill(descriptor, row, {name: out[name][place] for name in self.columns})
        self._check_rows(rows, places, out)

    def tensors(self) -> Tensors:
        with self.file.opened() as descriptor:
            self._check_whole(descriptor)
            stored = {name: self.file.whole(descriptor, name) for name in self.file.columns}
        told = unpacked(stored)
        given = {name: getattr(told, name) for name in ("prompt_embeds", "pooled_prompt_embeds", "prompt_mask")}
        found = {name: values for name, values in given.items() if values is not None}
        self._check_rows(range(self.written.rows), range(self.written.rows), found)
        return found

    def _fill(self, descriptor: int, row: int, out: dict[str, Tensor]) -> None:
        file, stored = self.file, self.file.columns
        short, narrow, long, _ = self._shape
        for name in ("prompt_embeds", "prompt_mask", "pooled_prompt_embeds"):
            if name in stored:
                file.fill(descriptor, name, row, out[name])
        embeds = out["prompt_embeds"]
        if "clip" in stored:
            states = torch.empty(short, narrow, dtype=embeds.dtype)
            file.fill(descriptor, "clip", row, states)
            embeds[:short, :narrow] = states
            embeds[:short, narrow:] = 0
        if "t5" in stored:
            file.fill(descriptor, "t5", row, embeds[short:])
        if "tokens" in stored:
            start, end = self._small["offsets"][row : row + 2].tolist()
            file.fill(descriptor, "tokens", start, embeds[short : short + end - start])
            embeds[short + end - start :] = 0
        if "real" in stored:
            out["prompt_mask"].copy_(mask_of(self._small["real"][row : row + 1], short, long)[0])

    def _hash_of(self, place: int, out: Mapping[str, Tensor]) -> str:
        mask, pooled = out.get("prompt_mask"), out.get("pooled_prompt_embeds")
        return prompt_hash(
            out["prompt_embeds"][place],
            None if mask is None else mask[place],
            None if pooled is None else pooled[place],
            zeros="tokens" in self.file.columns and "clip" not in self.file.columns,
        )


def content_hash(file: RowFile, descriptor: int) -> str:
    """SHA-256 of names, types, shapes and values of a file's tensors, as `tensors_hash` has it of those in memory."""
    digest = hashlib.sha256()
    for name in sorted(file.columns):
        column = file.columns[name]
        digest.update(f"{name} {column.dtype} {column.shape}".encode())
        for part in file.chunks(descriptor, name):
            digest.update(part)
    return digest.hexdigest()


def _runs(rows: Sequence[int], places: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(first row, first place, count) of rows that follow one another in both."""
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end] != rows[end - 1] + 1 or places[end] != places[end - 1] + 1:
            yield rows[start], places[start], end - start
            start = end
