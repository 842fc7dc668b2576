"""A table of scores as text that can grow: CSV and JSONL, each read back to the row; Parquet when it is complete."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, final

from dina_lrm.runs.json_files import read_json_lines


@dataclass(frozen=True)
class ScoredRow:
    """One line of the output: a score with its z-score, or the reason why there is none.

    `content` is the SHA-256 of the picture that was read, which says whether the score is still that picture's.
    """

    image: str
    prompt: str
    score: float | None = None
    z: float | None = None
    error: str | None = None
    content: str | None = None


COLUMNS: Final = tuple(field.name for field in fields(ScoredRow))
_EARLIER: Final = COLUMNS[:-1]
"""The columns of versions that did not say what they had read."""
_NUMBERS: Final = ("score", "z")


def row_of(values: dict[str, Any]) -> ScoredRow:
    """A row from its values; ValueError for other columns, or values that are none of a score's."""
    if set(values) not in (set(COLUMNS), set(_EARLIER)):
        raise ValueError(f"columns {', '.join(map(str, values))}; a table of scores has {', '.join(COLUMNS)}")
    for name, value in values.items():
        wanted = (int, float) if name in _NUMBERS else (str,)
        required = name in ("image", "prompt")
        if isinstance(value, bool) or not (isinstance(value, wanted) or (value is None and not required)):
            raise ValueError(f"{name} is {value!r:.60}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}")
    row = ScoredRow(**values)
    if (row.score is None) == (row.error is None):
        found = "neither" if row.error is None else "both"
        raise ValueError(f"the row of {row.image!r:.60} has {found} score and error")
    return row


def _read_jsonl(path: Path) -> list[ScoredRow]:
    return [row_of(values) for values in read_json_lines(path)]


def _jsonl_text(rows: Iterable[ScoredRow]) -> str:
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def _read_csv(path: Path) -> list[ScoredRow]:
    header, *records = _complete_records(path) or [list(COLUMNS)]
    if tuple(header) not in (COLUMNS, _EARLIER):
        raise ValueError(f"columns {', '.join(header)}; a table of scores has {', '.join(COLUMNS)}")
    rows = []
    for cells in records:
        if len(cells) != len(header):
            raise ValueError(f"a row has {len(cells)} cells, and the header {len(header)}")
        given: dict[str, Any] = dict(zip(header, cells, strict=True))
        for name in header[2:]:
            value = given[name] or None
            given[name] = float(value) if value is not None and name in _NUMBERS else value
        rows.append(row_of(given))
    return rows


def _complete_records(path: Path) -> list[list[str]]:
    """The records of a CSV file but for a last one that was cut off."""
    records: list[list[str]] = []
    # A character that was cut in two can only be in the last record
    with path.open(encoding="utf-8-sig", newline="", errors="ignore") as file:
        lines = _Lines(file)
        try:
            for record in csv.reader(lines, strict=True):
                if lines.last.endswith("\n"):
                    records.append(record)
        except csv.Error:
            if next(lines, None) is not None:
                raise ValueError(f"row {len(records) + 1} is no row of a CSV file") from None
    return records


@final
class _Lines:
    """Lines of a file, remembering the last one read."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self.last = iter(lines), ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.last = next(self._lines)
        return self.last


def _csv_text(rows: Iterable[ScoredRow]) -> str:
    return "".join(",".join(_cell(getattr(row, name)) for name in COLUMNS) + "\n" for row in rows)


def _cell(value: object) -> str:
    """A cell that every reader gives back as it was: whatever some of them take for the end of a line is quoted."""
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if any(letter in text for letter in _QUOTED) else text


_QUOTED: Final = ',"\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029'


def read_parquet(path: Path) -> list[ScoredRow]:
    """The rows of a complete Parquet table; ValueError for another table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return [row_of(values) for values in pq.read_table(path).to_pylist()]
    except pa.ArrowException as error:
        raise ValueError(f"not a Parquet file ({' '.join(str(error).split()):.200})") from error


def write_parquet(path: Path, rows: Sequence[ScoredRow]) -> None:
    """All rows as a Parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.float64() if name in _NUMBERS else pa.string()) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), path)


@dataclass(frozen=True)
class Format:
    """How rows become text that can grow, and back."""

    read: Callable[[Path], list[ScoredRow]]
    text: Callable[[Iterable[ScoredRow]], str]
    header: str


FORMATS: Final = {
    ".csv": Format(_read_csv, _csv_text, ",".join(COLUMNS) + "\n"),
    ".jsonl": Format(_read_jsonl, _jsonl_text, ""),
}
