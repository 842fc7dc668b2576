"""Rows of a table file (JSONL, JSON list, CSV, TSV, Parquet, WebDataset, a store of votes), streamed, each knowing
where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from dina_lrm.data.sources.delimited import csv_rows, tsv_rows
from dina_lrm.data.sources.json_rows import json_rows, jsonl_rows
from dina_lrm.data.sources.parquet_rows import parquet_rows
from dina_lrm.data.sources.rows import Row
from dina_lrm.data.sources.vote_rows import vote_rows
from dina_lrm.data.sources.webdataset import tar_rows
from dina_lrm.typed import DinaError

FORMATS: Final[dict[str, Callable[[Path], Iterator[Row]]]] = {
    ".jsonl": jsonl_rows,
    ".json": json_rows,
    ".csv": csv_rows,
    ".tsv": tsv_rows,
    ".parquet": parquet_rows,
    ".tar": tar_rows,
    ".sqlite": vote_rows,
}


def scan_rows(path: Path) -> Iterator[Row]:
    """Stream the rows of a table file, whose suffix says the format; a row that cannot be parsed carries its fault.

    Raises:
        ValueError: an unknown suffix, a column that is there twice, or a file that is no such table at all.
        FileNotFoundError: when there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise DinaError(f"{path}: unknown format {path.suffix!r}; accepted: {', '.join(FORMATS)}")
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise DinaError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error


__all__ = ["FORMATS", "Row", "scan_rows"]
