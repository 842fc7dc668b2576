"""Plots of the ablations: the rows of a table with their intervals, and accuracy over the noise level of scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dina_lrm.experiments.ablations.cells import Cell
from dina_lrm.experiments.ablations.estimates import MEAN, SETS, accuracy
from dina_lrm.experiments.ablations.tables import Ablation, Row
from dina_lrm.experiments.ablations.variants import PIXELS, READING_NAMES, SWEEP, VARIANTS
from dina_lrm.reports.axes import line_with_band, percent_axis
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.theme import LIGHT
from dina_lrm.reports.titles import title_of

REFERENCE: Final = Row("base")
"""What every other row is set against."""


def row_plot(chosen: Ablation, cells: Mapping[str, Cell], seeds: Sequence[int]) -> Figure:
    """One panel a set, each with a scale of its own: the rows of the table as points with their intervals."""
    rows = [row for row in chosen.rows if accuracy(cells, row, "in_domain", seeds) is not None]
    names = [f"{VARIANTS[row.variant].label}; {_read_at(row)}" for row in rows]
    with drawing(LIGHT):
        figure = Figure(figsize=(11.5, 1.1 + 0.34 * len(rows)))
        panels = figure.subplots(1, len(SETS) + 1, sharey=True)
        for panel, column in zip(panels, (*SETS, MEAN), strict=True):
            for place, row in enumerate(rows):
                value = accuracy(cells, row, column, seeds)
                assert value is not None
                colour = LIGHT.colour(0 if row != REFERENCE else 1)
                middle, low, high = (100 * each for each in value.span)
                panel.hlines(place, low, high, color=colour, linewidth=1.8)
                panel.plot([middle], [place], "o", color=colour, markersize=5)
            panel.set_title(title_of(column).replace(" ", "\n"), fontsize=9)
            panel.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
            panel.grid(True, axis="x")
            panel.grid(False, axis="y")
        panels[0].set_yticks(range(len(rows)), names)
        panels[0].tick_params(axis="y", labelcolor=LIGHT.ink)
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        label = figure.supxlabel("pairwise accuracy in per cent", fontsize=9, color=LIGHT.quiet)
        figure.draw_without_rendering()  # only then is known where the panels are
        label.set_x((panels[0].get_position().x0 + panels[-1].get_position().x1) / 2)
        return figure


def _read_at(row: Row) -> str:
    return row.reading if row.reading == PIXELS else f"t = {reading_name(row)}"


def reading_name(row: Row) -> str:
    """How the page calls what a row is read at."""
    return READING_NAMES.get(row.reading, row.reading).replace("+", " + ")


def sweep_plot(chosen: Ablation, cells: Mapping[str, Cell], seeds: Sequence[int]) -> Figure:
    """Mean accuracy over the noise level at which the models of an ablation are read, with intervals."""
    variants = dict.fromkeys(row.variant for row in chosen.rows if accuracy(cells, row, "in_domain", seeds) is not None)
    with drawing(LIGHT):
        figure = Figure(figsize=(7.2, 4.0))
        axes = figure.add_subplot()
        for index, variant in enumerate(variants):
            some = next(cell for cell in cells.values() if cell.variant == variant)
            levels = [level for level in SWEEP if f"{level:g}" in some.sets["in_domain"].readings]
            found = [accuracy(cells, Row(variant, f"{level:g}"), MEAN, seeds) for level in levels]
            known = [each.span for each in found if each is not None]
            line_with_band(axes, levels, known, VARIANTS[variant].label, index, LIGHT, letters=60)
        axes.set_xlabel("noise level of scoring")
        axes.set_ylabel("mean accuracy of four sets")
        percent_axis(axes)
        axes.legend(loc="lower left")
        return figure
