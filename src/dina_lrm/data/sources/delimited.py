"""Rows of CSV and TSV files: cells as they are, or quoted as spreadsheets and pandas quote them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

from dina_lrm.data.sources.rows import Row, check_header

_QUOTED_LINES: Final = 1_000
"""Lines that one quoted cell may go over."""
_QUOTE: Final = '"'


def csv_rows(path: Path) -> Iterator[Row]:
    """Cells between commas."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            yield from _rows(path, ((reader.line_num, cells) for cells in reader), "; quote cells that hold commas")
        except csv.Error as error:
            yield Row(path, f"line {reader.line_num}", {}, f"not CSV from here on ({error})")


def tsv_rows(path: Path) -> Iterator[Row]:
    """Cells between tabs. Published tables write a quotation mark as it is, pandas and spreadsheets quote such cells.

    Both are read: a line whose cells are all well-formed with quotes (`"a ""red"" square"`) is read so, any other as it
    stands.
    """
    with path.open(encoding="utf-8-sig", newline="") as lines:
        yield from _rows(path, _tab_separated(lines), "")


def _rows(path: Path, cells_of_lines: Iterator[tuple[int, list[str] | str]], hint: str) -> Iterator[Row]:
    """Each line's cells by the names in the first one, or what is wrong with the line."""
    header: list[str] | None = None
    for number, cells in cells_of_lines:
        place = f"line {number}"
        if isinstance(cells, str):
            yield Row(path, place, {}, cells)
        elif not cells:
            continue
        elif header is None:
            check_header(path, cells)
            header = cells
        else:
            fault = _fault(cells, header, hint)
            yield Row(path, place, {}, fault) if fault else Row(path, place, dict(zip(header, cells, strict=True)))


def _fault(cells: Sequence[str], header: Sequence[str], hint: str) -> str | None:
    if len(cells) != len(header):
        return f"{len(cells)} cells, but the header names {len(header)} columns{hint}"
    return "a cell holds a NUL character, which is no text" if any("\0" in cell for cell in cells) else None


def _tab_separated(lines: TextIO) -> Iterator[tuple[int, list[str] | str]]:
    """The number of each line and its cells; a text in their place says what is wrong, and ends the reading."""
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        record = _Record(line)
        while record.is_open and record.lines < _QUOTED_LINES:
            more = next(numbered, None)
            if more is None:
                break
            record.add(more[1])
        if record.is_open:
            yield number, f"not TSV from here on (a quotation mark opens a cell and nothing closes it: {line[:60]!r})"
            return
        yield number, record.cells


class _Record:
    """The lines of one row, and the cells that they make."""

    def __init__(self, line: str) -> None:
        self._text, self.lines, self.is_open = "", 0, False
        self.cells: list[str] = []
        self.add(line)

    def add(self, line: str) -> None:
        """Take a line more."""
        self._text += line
        self.lines += 1
        plain = self._text.rstrip("\r\n")
        self.cells, self.is_open = plain.split("\t") if plain else [], False
        if _QUOTE not in plain:
            return
        try:
            rows = list(csv.reader([self._text], delimiter="\t", strict=True))
        except csv.Error as error:  # else a quotation mark is part of the text: as it stands
            self.is_open = "unexpected end" in str(error)
            return
        if len(rows) == 1:
            self.cells = rows[0]
