"""The cells of a table as text, for pages and for the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from dina_lrm.evaluation.interval import Interval
from dina_lrm.reports.blocks import Cell, Share, Table
from dina_lrm.screen import NO_NUMBER, number_text


@dataclass(frozen=True)
class ShownCell:
    """A cell as text; `numeric` tells whether its column holds numbers."""

    text: str
    interval: str = ""
    best: bool = False
    numeric: bool = False


def table_cells(table: Table) -> list[list[ShownCell]]:
    """Each cell of the table as it is shown."""
    numeric = [any(isinstance(row[i], int | float | Share) for row in table.rows) for i in range(len(table.columns))]
    return [[_shown(cell, numeric[i]) for i, cell in enumerate(row)] for row in table.rows]


def _shown(cell: Cell, numeric: bool) -> ShownCell:
    if not isinstance(cell, Share):
        return ShownCell(_plain_cell(cell), numeric=numeric)
    form = "+.1f" if cell.signed else ".1f"
    if not isinstance(cell.value, Interval):
        return ShownCell(number_text(cell.value, form, percent=True), best=cell.best, numeric=numeric)
    middle = cell.value.middle(form, percent=True)
    ends = "" if middle == NO_NUMBER else f"({cell.value.ends(form, percent=True)})"
    return ShownCell(middle, ends, cell.best, numeric)


def _plain_cell(cell: str | int | float | None) -> str:
    if cell is None or isinstance(cell, float):
        return number_text(cell, ".3f")
    return f"{cell:,}".replace(",", "\u202f") if isinstance(cell, int) else cell
