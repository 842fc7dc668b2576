"""Report tables in a terminal."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from dina_lrm.reports.blocks import Table
from dina_lrm.reports.cells import table_cells
from dina_lrm.screen import escaped, text_of

_TEXT_WIDTH: Final = 28
"""Columns up to which text is kept in one line."""


def as_rich(table: Table) -> RichTable:
    """The table with numbers right, intervals dim beside their value, the best in bold."""
    cells = table_cells(table)
    title = text_of(table.caption) if table.caption else None
    drawn = RichTable(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(table.columns):
        column = [row[i] for row in cells]
        if any(cell.numeric for cell in column):
            # Only a column without intervals may break its heading: a broken interval cannot be read.
            drawn.add_column(text_of(name), justify="right", no_wrap=any(cell.interval for cell in column))
        else:
            longest = max((len(cell.text) for cell in column), default=0)
            drawn.add_column(text_of(name), min_width=min(longest, _TEXT_WIDTH))
    for row in cells:
        texts = []
        for cell in row:
            text = Text(escaped(cell.text), style="bold" if cell.best else "")
            texts.append(text.append(f" {cell.interval}", style="dim") if cell.interval else text)
        drawn.add_row(*texts)
    return drawn
