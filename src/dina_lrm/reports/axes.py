"""Panels, axes and legends that the plots share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dina_lrm.reports.theme import DASHES, MARKERS, Theme

_WIDTH: Final = 3.1
_HEIGHT: Final = 2.7
_PER_ROW: Final = 3
_ROOM: Final = 0.94
"""Share of a figure's width that a legend may take: it stands a little inside, and is measured before it is drawn."""
_COLUMNS: Final = 5
"""Most columns of a legend."""
_ROW: Final = 0.21
"""Inches of a row of a legend."""
_LETTERS: Final = 40
"""Most letters of a name in a legend, or beside an axis."""


def in_plot(name: str, letters: int = _LETTERS) -> str:
    """Anybody's name for something as a plot shows it: one line, cut in its middle where it would push the axes aside.

    A legend leaves out what begins with an underscore; a space before it keeps it in.
    """
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    if len(text) > letters:
        text = f"{text[: letters // 2]}\u2026{text[1 - letters + letters // 2 :]}"
    return f" {text}" if text.startswith("_") else text


def panels_of(n: int, sharey: bool = False, foot: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A figure of n panels, three to a row (four: two and two), and its axes. `foot` is the height in inches that long
    labels take below each.
    """
    columns = min(n, 2 if n == 4 else _PER_ROW)
    rows = math.ceil(n / columns)
    width = _WIDTH * (1.35 if columns <= 2 else 1)
    figure = Figure(figsize=(columns * width, rows * (_HEIGHT + foot)))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    for axes in grid.flat[n:]:
        axes.set_axis_off()
    for axes in grid.flat[:n] if sharey else ():
        axes.tick_params(labelleft=True)  # on a phone each panel stands alone
    return figure, list(grid.flat[:n])


def label_rows(panels: Sequence[Axes], text: str) -> None:
    """Label the vertical axis of the first panel of each row."""
    for panel in panels:
        place = panel.get_subplotspec()
        if place is not None and place.is_first_col():
            panel.set_ylabel(text)


def line_with_band(
    axes: Axes,
    x: Sequence[float],
    estimates: Sequence[tuple[float, float, float]],
    label: str,
    index: int,
    theme: Theme,
    letters: int = _LETTERS,
    band: bool = True,
) -> None:
    """The index-th series: a line with markers through (value, low, high) of each x, and its intervals as a band.

    Its `label` has at most so many letters in the legend. Many bands hide each other: without `band` there is none.
    """
    value, low, high = np.array(estimates).T
    if band:
        axes.fill_between(x, low, high, color=theme.colour(index), alpha=0.15, linewidth=0)
    axes.plot(
        x,
        value,
        color=theme.colour(index),
        marker=MARKERS[index % len(MARKERS)],
        linestyle=DASHES[index % len(DASHES)],
        markersize=5,
        label=in_plot(label, letters),
    )


def mark_ceiling(axes: Axes, ceiling: float | None, theme: Theme) -> None:
    """A dotted line at the Bayes ceiling, where it is known."""
    if ceiling is None:
        return
    axes.axhline(ceiling, color=theme.quiet, linestyle=DASHES[2], linewidth=1.4)
    # On paper of its own: a grid line may run just behind it.
    axes.annotate(
        f"ceiling {percent(ceiling)}",
        (0, ceiling),
        (2, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        color=theme.quiet,
        fontsize=9,
        va="bottom",
        bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 0.8},
    )
    axes.margins(y=0.12)


def percent(value: float, position: int | None = None) -> str:
    """A share as text, in the form of a tick formatter."""
    return f"{100 * value:.0f} %" if abs(100 * value - round(100 * value)) < 0.05 else f"{100 * value:.1f} %"


def percent_axis(axes: Axes) -> None:
    """A vertical axis of shares with round percentages."""
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(percent))


def legend_above(figure: Figure, *panels: Axes) -> None:
    """One legend for the whole figure, above the panels, in as many columns as fit; the ceiling is named last.

    Where it takes more rows than with short names, the figure is so much higher. None where nothing is drawn.
    """
    found: dict[str, Artist] = {}
    for panel in panels:
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(str(name), handle)
    if not found:
        return
    names = sorted(found, key=lambda name: name == "ceiling")
    handles = [found[name] for name in names]
    most = min(len(names), _COLUMNS)
    for columns in range(most, 0, -1):
        legend = figure.legend(handles, names, loc="outside upper left", ncols=columns, columnspacing=1.4)
        if columns == 1 or legend.get_window_extent().width <= _ROOM * figure.bbox.width:
            break
        legend.remove()
    rows, least = math.ceil(len(names) / columns), math.ceil(len(names) / most)
    figure.set_figheight(figure.get_figheight() + _ROW * (rows - least))
