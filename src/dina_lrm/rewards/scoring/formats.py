"""A table of scores as a file: JSONL, which can grow line by line; CSV and Parquet when they are complete."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from dina_lrm.runs.json_files import read_json_lines
from dina_lrm.typed import DinaError


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
        raise DinaError(f"columns {', '.join(map(str, values))}; a table of scores has {', '.join(COLUMNS)}")
    for name, value in values.items():
        wanted = (int, float) if name in _NUMBERS else (str,)
        required = name in ("image", "prompt")
        if isinstance(value, bool) or not (isinstance(value, wanted) or (value is None and not required)):
            raise DinaError(f"{name} is {value!r:.60}")
        if isinstance(value, float) and not math.isfinite(value):
            raise DinaError(f"{name} is {value!r}")
    row = ScoredRow(**values)
    if (row.score is None) == (row.error is None):
        found = "neither" if row.error is None else "both"
        raise DinaError(f"the row of {row.image!r:.60} has {found} score and error")
    return row


def read_jsonl(path: Path) -> list[ScoredRow]:
    """The rows of a JSONL table, but for a last line that a kill cut off; ValueError for another table."""
    return [row_of(values) for values in read_json_lines(path)]


def jsonl_text(rows: Iterable[ScoredRow]) -> str:
    """The rows as lines."""
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def _write_jsonl(path: Path, rows: Iterable[ScoredRow]) -> None:
    path.write_bytes(jsonl_text(rows).encode())


def _read_csv(path: Path) -> list[ScoredRow]:
    header, *records = _records(path) or [list(COLUMNS)]
    if tuple(header) not in (COLUMNS, _EARLIER):
        raise DinaError(f"columns {', '.join(header)}; a table of scores has {', '.join(COLUMNS)}")
    rows = []
    for cells in records:
        if len(cells) != len(header):
            raise DinaError(f"a row has {len(cells)} cells, and the header {len(header)}")
        given: dict[str, Any] = dict(zip(header, cells, strict=True))
        for name in header[2:]:
            value = given[name] or None
            given[name] = float(value) if value is not None and name in _NUMBERS else value
        rows.append(row_of(given))
    return rows


def _records(path: Path) -> list[list[str]]:
    whole = path.read_bytes()
    # Earlier versions let it grow: a kill may have cut off the last row
    whole = whole[: whole.rfind(b"\n") + 1]
    try:
        return list(csv.reader(io.StringIO(whole.decode("utf-8-sig"), newline=""), strict=True))
    except csv.Error as error:
        raise DinaError(f"not a CSV file ({error})") from None


def _write_csv(path: Path, rows: Iterable[ScoredRow]) -> None:
    lines = (",".join(_cell(getattr(row, name)) for name in COLUMNS) for row in rows)
    path.write_bytes("".join(line + "\n" for line in [",".join(COLUMNS), *lines]).encode())


def _cell(value: object) -> str:
    """A cell that every reader gives back as it was: whatever some of them take for the end of a line is quoted."""
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if any(letter in text for letter in _QUOTED) else text


_QUOTED: Final = ',"\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029'


def _read_parquet(path: Path) -> list[ScoredRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return [row_of(values) for values in pq.read_table(path).to_pylist()]
    except pa.ArrowException as error:
        raise DinaError(f"not a Parquet file ({' '.join(str(error).split()):.200})") from error


def _write_parquet(path: Path, rows: Iterable[ScoredRow]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.float64() if name in _NUMBERS else pa.string()) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), path)


@dataclass(frozen=True)
class Format:
    """How all rows become a file, and come back."""

    read: Callable[[Path], list[ScoredRow]]
    """Raises ValueError for another table."""
    write: Callable[[Path, Iterable[ScoredRow]], None]


FORMATS: Final = {
    ".csv": Format(_read_csv, _write_csv),
    ".jsonl": Format(read_jsonl, _write_jsonl),
    ".parquet": Format(_read_parquet, _write_parquet),
}
