"""What an update of each objective costs, as a table and as bars."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from dina_lrm.profiling.updates import STEPS, UpdateCost, Updates
from dina_lrm.reports.axes import in_plot
from dina_lrm.reports.cost.tables import cost_table, short
from dina_lrm.reports.drawing import drawing, save_figure
from dina_lrm.reports.theme import LIGHT, Theme
from dina_lrm.screen import add_row

_NONE = "\u2013"


def updates_table(found: Updates) -> Table:
    """FLOPs an image and memory of every objective, with either reward."""
    heads = ("one update", "sampled", "learned", "latent", "holds", found.judge, "holds")
    table = cost_table(f"{found.subject}, {found.pixels} pixels, {found.batch} at once, {STEPS} steps", heads)
    for row in found.rows:
        add_row(
            table,
            row.objective,
            f"{row.passes.sampled:.3g}",
            f"{row.passes.learned:.3g}",
            _teraflops(row.latent_flops),
            _gibibytes(row.latent_bytes),
            _teraflops(row.pixel_flops),
            _gibibytes(row.pixel_bytes),
        )
    return table


def draw_updates(path: Path, found: Updates) -> None:
    """Draw the table into a file."""
    save_figure(updates_cost(found), path)


def updates_cost(found: Updates, theme: Theme = LIGHT) -> Figure:
    """TFLOPs an image and GiB of every objective, a bar for each reward."""
    rows = found.rows
    with drawing(theme):
        figure = Figure(figsize=(8.6, 1.1 + 0.42 * len(rows)))
        left, right = figure.subplots(1, 2, sharey=True)
        _pairs(left, [(row.latent_flops, row.pixel_flops) for row in rows], 1e12, theme)
        _pairs(right, [(row.latent_bytes, row.pixel_bytes) for row in rows], 2**30, theme)
        left.set_xlabel("TFLOPs of an update, an image")
        right.set_xlabel(f"GiB that a micro-batch of {found.batch} holds")
        left.set_yticks(range(len(rows)), [_label(row) for row in rows])
        left.invert_yaxis()
        names = ("latent reward", f"{in_plot(found.judge)} behind the decoder")
        handles = [axes_bar for axes_bar, _ in zip(right.containers, names, strict=True)]
        figure.legend(handles, names, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.0), frameon=False)
        return figure


def _pairs(axes: Axes, values: list[tuple[float, float | None]], unit: float, theme: Theme) -> None:
    largest = max(value or 0.0 for pair in values for value in pair) / unit
    for number in range(2):
        own = [(pair[number] or 0.0) / unit for pair in values]
        places = [place - 0.2 + 0.4 * number for place in range(len(values))]
        axes.barh(places, own, color=theme.colour(number), height=0.38)
        for place, value in zip(places, own, strict=True):
            told = f"{value:.3g}" if value else "needs a latent reward"
            axes.annotate(told, (value, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_xlim(0, 1.2 * largest)
    axes.grid(visible=False)


def _label(row: UpdateCost) -> str:
    return in_plot(f"{row.objective} (a pair)" if row.objective == "dpo" else row.objective)


def _teraflops(flops: float | None) -> str:
    return _NONE if flops is None else f"{short(flops / 1e12)} TF"


def _gibibytes(held: float | None) -> str:
    return _NONE if held is None else f"{short(held / 2**30)} GiB"
