"""One row of a table, with the place where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dina_lrm.runs.json_files import parse_json
from dina_lrm.typed import DinaError

MAX_ROW: Final = 64 * 2**20
"""Bytes (or letters) of one row of text: a file that is no table must not be read as a single row into memory."""


@dataclass(frozen=True)
class Row:
    """One row of a table: its file, its place in it ("line 7"), its values by column, or why it could not be parsed.

    `called` says which of its columns a value is from that stands under a name of ours too.
    """

    path: Path
    place: str
    values: dict[str, Any]
    fault: str | None = None
    called: Mapping[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """File and place, as errors name them."""
        return f"{self.path}, {self.place}"

    @property
    def name(self) -> str:
        """File and row number: what identifiers of its comparisons are made of."""
        return f"{self.path.stem}-{self.place.rsplit(' ', 1)[-1]}"

    def column(self, name: str) -> str:
        """What the table calls the column that stands for a name of ours."""
        return self.called.get(name, name)

    def parsed(self) -> dict[str, Any]:
        """The values; raises ValueError, naming the place, when the row could not be parsed."""
        if self.fault is not None:
            raise DinaError(f"{self.where}: {self.fault}")
        return self.values


def json_row(path: Path, place: str, text: str | bytes) -> Row:
    """The row that a JSON text holds, or the row with what is wrong with that text."""
    where = f"{path}, {place}"
    try:
        values = parse_json(text, where)
    except ValueError as error:
        return Row(path, place, {}, str(error).removeprefix(f"{where}: "))
    if isinstance(values, dict):
        return Row(path, place, values)
    return Row(path, place, {}, f"holds a JSON {type(values).__name__}; expected an object with named fields")


def check_header(path: Path, columns: Sequence[str]) -> None:
    """Raise ValueError for a column that is there twice: the second would win in silence."""
    twice = sorted({str(name) for name in columns if columns.count(name) > 1})
    if twice:
        raise DinaError(f"{path}: the column {', '.join(map(repr, twice))} is there twice; accepted: each once")
