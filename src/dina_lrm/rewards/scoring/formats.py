"""A table of scores as a file: JSONL, which can grow line by line; CSV and Parquet when they are complete.

A model of several named scores has columns `score.NAME` and `z.NAME` for each of them behind the others.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dina_lrm.heads.names import is_name
from dina_lrm.rewards.scoring.score import NamedScore, PictureScore
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
    named: Mapping[str, NamedScore] = field(default_factory=dict, hash=False)
    """All scores of a model that names them; their numbers are None where there is no score."""

    @classmethod
    def of(cls, image: str, prompt: str, found: PictureScore, content: str | None) -> ScoredRow:
        """The row of a picture that has a score."""
        return cls(image, prompt, found.score, found.z, content=content, named=found.named)

    def cells(self) -> dict[str, str | float | None]:
        """Its values by column."""
        plain = {name: getattr(self, name) for name in COLUMNS}
        by_name = ((f"{what}.{name}", getattr(one, what)) for name, one in self.named.items() for what in _NUMBERS)
        return plain | dict(by_name)


COLUMNS: Final = ("image", "prompt", "score", "z", "error", "content")
"""Those of every table."""
_EARLIER: Final = COLUMNS[:-1]
"""The columns of versions that did not say what they had read."""
_NUMBERS: Final = ("score", "z")


def row_of(values: dict[str, Any]) -> ScoredRow:
    """A row from its values; ValueError for other columns, or values that are none of a score's."""
    names = _names(list(values))
    for name, value in values.items():
        wanted = (int, float) if _is_number(name) else (str,)
        required = name in ("image", "prompt")
        if isinstance(value, bool) or not (isinstance(value, wanted) or (value is None and not required)):
            raise DinaError(f"{name} is {value!r:.60}")
        if isinstance(value, float) and not math.isfinite(value):
            raise DinaError(f"{name} is {value!r}")
    named = {name: NamedScore(values[f"score.{name}"], values[f"z.{name}"]) for name in names}
    row = ScoredRow(**{name: values[name] for name in COLUMNS if name in values}, named=named)
    if (row.score is None) == (row.error is None):
        found = "neither" if row.error is None else "both"
        raise DinaError(f"the row of {row.image!r:.60} has {found} score and error")
    for name, one in named.items():
        if {one.score is None, one.z is None} != {row.score is None}:
            raise DinaError(f"the row of {row.image!r:.60} has a score and no {name}, or the other way round")
    return row


def _names(columns: Sequence[str]) -> list[str]:
    """The names of scores that columns are of; ValueError for columns that are no table's."""
    more = [column for column in columns if column not in COLUMNS]
    names = [str(column).removeprefix("score.") for column in more if str(column).startswith("score.")]
    wanted = [f"{what}.{name}" for name in names for what in _NUMBERS]
    plain = set(columns) - set(more)
    known = plain in (set(COLUMNS), set(_EARLIER)) and sorted(map(str, more)) == sorted(wanted)
    if not known or len(set(columns)) < len(columns) or not all(map(is_name, names)):
        accepted = f"{', '.join(COLUMNS)}, and score.NAME with z.NAME for each named score"
        raise DinaError(f"columns {', '.join(map(str, columns))}; a table of scores has {accepted}")
    return names


def _is_number(column: str) -> bool:
    return column.partition(".")[0] in _NUMBERS


def read_jsonl(path: Path) -> list[ScoredRow]:
    """The rows of a JSONL table, but for a last line that a kill cut off; ValueError for another table."""
    return [row_of(values) for values in read_json_lines(path)]


def jsonl_text(rows: Iterable[ScoredRow]) -> str:
    """The rows as lines."""
    return "".join(json.dumps(row.cells(), ensure_ascii=False) + "\n" for row in rows)


def _write_jsonl(path: Path, rows: Iterable[ScoredRow]) -> None:
    path.write_bytes(jsonl_text(rows).encode())


def _read_csv(path: Path) -> list[ScoredRow]:
    header, *records = _records(path) or [list(COLUMNS)]
    _names(header)
    rows = []
    for cells in records:
        if len(cells) != len(header):
            raise DinaError(f"a row has {len(cells)} cells, and the header {len(header)}")
        given: dict[str, Any] = dict(zip(header, cells, strict=True))
        for name in header[2:]:
            value = given[name] or None
            given[name] = float(value) if value is not None and _is_number(name) else value
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
    columns, tables = _table(rows)
    lines = (",".join(_cell(cells[name]) for name in columns) for cells in tables)
    path.write_bytes("".join(line + "\n" for line in [",".join(columns), *lines]).encode())


def _table(rows: Iterable[ScoredRow]) -> tuple[list[str], list[dict[str, str | float | None]]]:
    """The columns, which all rows of a table have, and its rows."""
    cells = [row.cells() for row in rows]
    return [*cells[0]] if cells else [*COLUMNS], cells


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

    columns, cells = _table(rows)
    schema = pa.schema([(name, pa.float64() if _is_number(name) else pa.string()) for name in columns])
    pq.write_table(pa.Table.from_pylist(cells, schema=schema), path)


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
