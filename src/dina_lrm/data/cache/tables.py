"""The Parquet files of a cache: their columns in each format, and how they are written, checked and read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dina_lrm.data.cache import pairs
from dina_lrm.data.cache.content import Tally
from dina_lrm.data.cache.format import HEADER, TABLES, CacheHeader, write_header
from dina_lrm.runs.content import content_of
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.typed import DinaError

ROWS_AT_ONCE: Final = 10_000
Column = list[Any] | NDArray[Any]
PAIRS_FILE, PROMPTS_FILE, MISSING_FILE, IMAGES_FILE = TABLES


def _pairs(columns: Sequence[str]) -> pa.Schema:
    types = {name: pa.float32() for name in pairs.REAL} | {name: pa.string() for name in (*pairs.TEXT, pairs.NAMED)}
    return pa.schema([(name, types.get(name, pa.int64())) for name in columns])


_MISSING = pa.schema(
    [("number", pa.int64()), ("pair_id", pa.string()), ("image", pa.string()), ("reason", pa.string())]
)
_FIRST: Final = {
    PAIRS_FILE: _pairs(pairs.COMMON_COLUMNS),
    PROMPTS_FILE: pa.schema([("text", pa.string()), ("truncated", pa.string())]),
    MISSING_FILE: _MISSING,
    IMAGES_FILE: pa.schema([("bucket", pa.int64()), ("row", pa.int64()), ("name", pa.string())]),
}
_SECOND: Final = {
    PAIRS_FILE: _pairs(pairs.COLUMNS),
    PROMPTS_FILE: pa.schema(
        [("text", pa.string()), ("truncated", pa.string()), ("tokens", pa.int64()), ("sha256", pa.string())]
    ),
    MISSING_FILE: _MISSING,
    IMAGES_FILE: pa.schema(
        [
            *(("bucket", pa.int64()), ("row", pa.int64()), ("name", pa.string()), ("key", pa.string())),
            *(("width", pa.int64()), ("height", pa.int64()), ("sha256", pa.string())),
        ]
    ),
}
SCHEMAS: Final = {1: _FIRST, 2: _SECOND}
"""The columns of each Parquet file, by format version."""


@dataclass(frozen=True)
class Tables:
    """The rows of the Parquet files of a cache, streamed in the order of their columns.

    Those of prompts and of images (by bucket) are in the order of the rows of their tensors, and there is one for each.
    A `sha256` is that of a row's values (`shards.row_hashes`); an empty one says that what it encodes was not readable,
    and the row holds zeros. `tokens` is -1, `width` and `height` are 0 where they are not known.
    """

    pairs: Iterable[Sequence[Any]]
    prompts: Iterable[Sequence[Any]]
    missing: Iterable[Sequence[Any]]
    images: Iterable[Sequence[Any]]


def write_tables(folder: Path, made_by: CacheHeader, tables: Tables) -> CacheHeader:
    """Write every file of a cache but its shards, `cache.json` last; returns the header with its counts."""
    tally, schemas = Tally(made_by), SCHEMAS[made_by.format_version]
    rows = {
        IMAGES_FILE: map(tally.image, tables.images),
        PROMPTS_FILE: map(tally.prompt, tables.prompts),
        PAIRS_FILE: map(tally.pair, tables.pairs),  # behind the two that it points at
        MISSING_FILE: map(tally.missing, tables.missing),
    }
    for name, table in rows.items():
        _write_table(folder / name, schemas[name], table)
    return write_header(
        folder, dataclasses.replace(tally.header(made_by), tables={name: content_of(folder / name) for name in TABLES})
    )


def _write_table(path: Path, schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> None:
    rows = iter(rows)
    with replaced_when_complete(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while chunk := list(islice(rows, ROWS_AT_ONCE)):
            columns = zip(*chunk, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def check_recorded(folder: Path, name: str, header: CacheHeader) -> None:
    """Raise unless one of the Parquet files is what was written, where that was recorded.

    Raises:
        FileNotFoundError: it is gone.
        ValueError: it has another hash.
    """
    if not header.tables:  # an earlier version, which wrote down no hash
        return
    path = folder / name
    _expect_file(path)
    if header.tables.get(name) != content_of(path):
        raise DinaError(
            f"{path}: its content is not what {HEADER} recorded; it was changed or is damaged: encode the comparisons "
            "again, or fetch the file from where it is whole"
        )


def _expect_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: a part of the cache is gone; encode the comparisons again")


def read_columns(folder: Path, name: str, header: CacheHeader) -> dict[str, Column]:
    """All columns of one of the Parquet files, by name: numbers as arrays, text as lists.

    Raises:
        FileNotFoundError: it is gone.
        ValueError: it is not what was written: another hash, other columns or types, a number that is not there.
    """
    path = folder / name
    _expect_file(path)
    check_recorded(folder, name, header)
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DinaError(f"{path}: not a Parquet file ({' '.join(str(error).split()):.200})") from error
    schema = SCHEMAS[header.format_version][name]
    if pairs.NAMED in schema.names and pairs.NAMED not in table.column_names:  # of an earlier version
        table = table.append_column(schema.field(pairs.NAMED), pa.nulls(len(table), pa.string()))
    _check_schema(path, table, schema)
    return {
        name: column.to_pylist() if pa.types.is_string(column.type) else column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


@dataclass(frozen=True)
class RowHashes:
    """The hashes of the latents of each bucket's rows, and of the prompts' rows: hexadecimal, as bytes."""

    images: Sequence[NDArray[Any]]
    prompts: NDArray[Any]


def row_hashes(folder: Path, header: CacheHeader) -> RowHashes | None:
    """The hashes of a cache's rows; None in format 1, which has none.

    The tables are those of `read_columns`, which compares them with what was written.
    """
    if header.format_version == 1:
        return None
    images = pq.read_table(folder / IMAGES_FILE, columns=["bucket", "sha256"])
    prompts = pq.read_table(folder / PROMPTS_FILE, columns=["sha256"])
    bucket, hashes = images["bucket"].to_numpy(), _fixed(images["sha256"])
    of_buckets = [hashes[bucket == number] for number in range(len(header.buckets))]
    return RowHashes(of_buckets, _fixed(prompts["sha256"]))


def _fixed(column: pa.ChunkedArray) -> NDArray[Any]:
    """Hashes, or empty text, without an object for each: a million take 61 MiB."""
    return np.concatenate([np.zeros(0, "S64"), *(_fixed_chunk(chunk) for chunk in column.chunks)])


def _fixed_chunk(chunk: pa.StringArray) -> NDArray[Any]:
    ends = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    lengths = np.diff(ends)
    if chunk.null_count or not np.isin(lengths, (0, 64)).all():  # no hashes that this library wrote
        return np.array(chunk.cast(pa.binary()).to_pylist(), dtype="S64")
    found = np.zeros(len(chunk), "S64")
    if lengths.any():
        found[lengths > 0] = np.frombuffer(chunk.buffers()[2], np.uint8)[ends[0] : ends[-1]].view("S64")
    return found


def _check_schema(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    if not table.schema.remove_metadata().equals(schema):
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        expected = ", ".join(f"{field.name} {field.type}" for field in schema)
        raise DinaError(f"{path}: the columns are {found}; expected: {expected}")
    for field, column in zip(schema, table.columns, strict=True):
        if column.null_count and not pa.types.is_string(field.type):
            raise DinaError(f"{path}: {field.name} has {column.null_count} empty cells; expected: numbers")
