"""The table of scores as it grows: appended batch by batch, taken up again where it stopped.

Beside `scores.csv` lies `scores.csv.settings.json`: what made the scores, so that others are never mixed in. Parquet
cannot grow: its rows gather in `scores.parquet.partial.jsonl` until all are scored.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, final

from dina_lrm.runs.files import replaced_when_complete


@dataclass(frozen=True)
class ScoredRow:
    """One line of the output: a score with its z-score, or the reason why there is none."""

    image: str
    prompt: str
    score: float | None = None
    z: float | None = None
    error: str | None = None


COLUMNS = tuple(field.name for field in fields(ScoredRow))


@final
class ScoreLog:
    """Scores in a file (.csv, .jsonl or .parquet) that grows.

    `scored` counts the images and prompts that have a score already; `retried` is the number of rows with an error
    that were taken out to be tried again.

    Raises:
        ValueError: an unknown suffix; a file that holds something else, or scores made with other settings.
        FileExistsError: a file of which nothing says what made it.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        suffix = path.suffix.lower()
        if suffix not in (*_FORMATS, ".parquet"):
            raise ValueError(f"{path}: unknown format {path.suffix!r}; accepted: {', '.join(_FORMATS)}, .parquet")
        self.path = path
        self._parquet = suffix == ".parquet"
        self._growing = path.with_name(path.name + ".partial.jsonl") if self._parquet else path
        self._format = _FORMATS[self._growing.suffix.lower()]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._check_settings(dict(settings))
        before = self._before()
        good = [row for row in before if row.error is None]
        self.scored = Counter((row.image, row.prompt) for row in good)
        self.retried = len(before) - len(good)
        with replaced_when_complete(self._growing) as temporary:
            temporary.write_bytes((self._format.header + self._format.text(good)).encode())

    def append(self, rows: Iterable[ScoredRow]) -> None:
        """Add rows; they are in the file when this returns."""
        with self._growing.open("ab") as file:
            file.write(self._format.text(rows).encode())

    def finish(self) -> None:
        """Everything is scored: write the Parquet file."""
        if self._parquet:
            with replaced_when_complete(self.path) as temporary:
                _write_parquet(temporary, self._format.read(self._growing))
            self._growing.unlink()

    def _before(self) -> list[ScoredRow]:
        try:
            if self._growing.exists():
                return self._format.read(self._growing)
            return _read_parquet(self.path) if self.path.exists() else []
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.path}: not a table of scores ({error}); give another file") from error

    def _check_settings(self, settings: dict[str, Any]) -> None:
        record = self.path.with_name(self.path.name + ".settings.json")
        if not (self.path.exists() or self._growing.exists()):
            record.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
            return
        if not record.exists():
            raise FileExistsError(f"{self.path} exists, and no {record.name} says what made it; give another file")
        before, now = json.loads(record.read_text(encoding="utf-8")), json.loads(json.dumps(settings))
        changed = [name for name in before | now if before.get(name) != now.get(name)]
        if changed:
            told = "; ".join(f"{name} was {before.get(name)!r}, now {now.get(name)!r}" for name in changed)
            raise ValueError(f"{self.path} holds scores made with other settings: {told}. Give another file")


def _read_jsonl(path: Path) -> list[ScoredRow]:
    lines = path.read_text(encoding="utf-8", errors="ignore").split("\n")[:-1]  # the last one, if any, was cut off
    return [ScoredRow(**json.loads(line)) for line in lines]


def _jsonl_text(rows: Iterable[ScoredRow]) -> str:
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def _read_csv(path: Path) -> list[ScoredRow]:
    header, *records = _complete_records(path) or [list(COLUMNS)]
    if tuple(header) != COLUMNS:
        raise ValueError(f"columns {', '.join(header)}; a table of scores has {', '.join(COLUMNS)}")
    return [
        ScoredRow(image, prompt, float(score) if score else None, float(z) if z else None, error or None)
        for image, prompt, score, z, error in records
    ]


def _complete_records(path: Path) -> list[list[str]]:
    """The records of a CSV file but for a last one that was cut off."""
    records: list[list[str]] = []
    with path.open(encoding="utf-8", newline="", errors="ignore") as file:
        lines = _Lines(file)
        try:
            for record in csv.reader(lines, strict=True):
                if lines.last.endswith("\n"):
                    records.append(record)
        except csv.Error:
            return records  # the file ends inside quotes
    return records


@final
class _Lines:
    """Lines of a file, remembering the last one read."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self.last = iter(lines), ""

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.last = line
            yield line


def _csv_text(rows: Iterable[ScoredRow]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([getattr(row, name) for name in COLUMNS] for row in rows)
    return buffer.getvalue()


def _read_parquet(path: Path) -> list[ScoredRow]:
    import pyarrow.parquet as pq

    return [ScoredRow(**row) for row in pq.read_table(path).to_pylist()]


def _write_parquet(path: Path, rows: Sequence[ScoredRow]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"score": pa.float64(), "z": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), path)


@dataclass(frozen=True)
class _Format:
    """How rows become text that can grow, and back."""

    read: Callable[[Path], list[ScoredRow]]
    text: Callable[[Iterable[ScoredRow]], str]
    header: str


_FORMATS = {
    ".csv": _Format(_read_csv, _csv_text, ",".join(COLUMNS) + "\n"),
    ".jsonl": _Format(_read_jsonl, _jsonl_text, ""),
}
