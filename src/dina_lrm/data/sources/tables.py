"""Rows of a table file (JSONL, JSON list, CSV, TSV, Parquet), streamed, each knowing where it stands."""

from __future__ import annotations

import codecs
import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

PARQUET_ROWS = 64
"""Rows held in memory at once while a Parquet file is read: they may hold images, or latents of a MiB each."""


@dataclass(frozen=True)
class Row:
    """One row of a table: its file, its place in it ("line 7"), its values by column, or why it could not be parsed."""

    path: Path
    place: str
    values: dict[str, Any]
    fault: str | None = None

    @property
    def where(self) -> str:
        """File and place, as errors name them."""
        return f"{self.path}, {self.place}"

    @property
    def name(self) -> str:
        """File and row number: what identifiers of its comparisons are made of."""
        return f"{self.path.stem}-{self.place.rsplit(' ', 1)[-1]}"

    def parsed(self) -> dict[str, Any]:
        """The values; raises ValueError, naming the place, when the row could not be parsed."""
        if self.fault is not None:
            raise ValueError(f"{self.where}: {self.fault}")
        return self.values


def _object_row(path: Path, place: str, values: object) -> Row:
    if isinstance(values, dict):
        return Row(path, place, values)
    return Row(path, place, {}, f"holds a JSON {type(values).__name__}; expected an object with named fields")


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield _object_row(path, f"line {number}", json.loads(line))
            except json.JSONDecodeError as error:
                yield Row(path, f"line {number}", {}, f"not a JSON object ({error})")


def _json(path: Path) -> Iterator[Row]:
    """The rows of a JSON list, of which one is in memory at a time: published ones have a million."""
    import ijson

    number = 0
    with path.open("rb") as file:
        _enter_list(path, file)
        try:
            for number, values in enumerate(ijson.items(file, "item", use_float=True), start=1):
                yield _object_row(path, f"row {number}", values)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            yield Row(path, f"row {number + 1}", {}, f"not JSON from here on ({' '.join(str(error).split()):.200})")


def _enter_list(path: Path, file: BinaryIO) -> None:
    """Leave the file where its list begins; raises ValueError when it holds anything else."""
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)
    first = file.read(1)
    while first.isspace():
        first = file.read(1)
    if first != b"[":
        found = {b"": "nothing", b"{": "an object"}.get(first, f"text that begins with {first.decode('latin-1')!r}")
        raise ValueError(
            f"{path}: holds {found}; expected a JSON list of objects (with an object on each line, call it .jsonl)"
        )
    file.seek(-1, os.SEEK_CUR)


def _csv(path: Path) -> Iterator[Row]:
    return _delimited(path, "CSV", ",", csv.QUOTE_MINIMAL, "; quote cells that hold commas")


def _tsv(path: Path) -> Iterator[Row]:
    """Cells between tabs as they are: a quotation mark is part of the text."""
    return _delimited(path, "TSV", "\t", csv.QUOTE_NONE)


def _delimited(path: Path, kind: str, delimiter: str, quoting: Literal[0, 3], hint: str = "") -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
        header: list[str] | None = None
        try:
            for cells in reader:
                place = f"line {reader.line_num}"
                if not cells:
                    continue
                if header is None:
                    header = cells
                elif len(cells) == len(header):
                    yield Row(path, place, dict(zip(header, cells, strict=True)))
                else:
                    counts = f"{len(cells)} cells, but the header names {len(header)} columns"
                    yield Row(path, place, {}, f"{counts}{hint}")
        except csv.Error as error:
            yield Row(path, f"line {reader.line_num}", {}, f"not {kind} from here on ({error})")


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a Parquet file ({error})") from error
    with table:
        number = 0
        for batch in table.iter_batches(batch_size=PARQUET_ROWS):
            for values in batch.to_pylist():
                number += 1
                yield Row(path, f"row {number}", values)


FORMATS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}


def scan_rows(path: Path) -> Iterator[Row]:
    """Stream the rows of a table file, whose suffix says the format; a row that cannot be parsed carries its fault.

    Raises:
        ValueError: an unknown suffix, or a file that is no such table at all.
        FileNotFoundError: when there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: unknown format {path.suffix!r}; accepted: {', '.join(FORMATS)}")
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error


def own_tables(path: Path, split: str | None = None) -> list[Path]:
    """The tables of our own format: a file, the one `comparisons.*` of a folder or, without it, its Parquet files."""
    if split is not None:
        raise ValueError(
            f"{path}: our own tables have no splits, and {split!r} was asked for; give the file that is meant"
        )
    if not path.is_dir():
        return [path]
    # By stem: a check leaves comparisons.jsonl.problems.jsonl beside its table.
    named = sorted(p for p in path.iterdir() if p.stem == "comparisons" and p.suffix.lower() in FORMATS)
    if len(named) > 1:
        raise ValueError(f"{path}: holds {', '.join(p.name for p in named)}; give the one that is meant")
    found = named or sorted(path.glob("*.parquet"))
    if not found:
        accepted = ", ".join(f"comparisons{suffix}" for suffix in FORMATS)
        raise FileNotFoundError(f"{path}: holds no comparisons; expected in a folder: {accepted}, or Parquet files")
    return found


def split_tables(path: Path, split: str | None, folders: Sequence[str] = (".", "data")) -> list[Path]:
    """The tables of a published data set: a file, or the files of a split below its folder.

    A split is `SPLIT.json` (or another format), or the Parquet shards `SPLIT-*.parquet`, in the first of `folders`
    that has any.
    """
    if not path.is_dir():
        return [path]
    assert split is not None
    for folder in (path / name for name in folders):
        whole = [folder / f"{split}{suffix}" for suffix in FORMATS if (folder / f"{split}{suffix}").is_file()]
        found = whole[:1] or sorted(folder.glob(f"{split}-*.parquet"))
        if found:
            return found
    looked = " or ".join(str(path / name) for name in folders)
    raise FileNotFoundError(
        f"{path}: no table of split {split!r}; expected {split}.json or {split}-*.parquet in {looked}"
    )
