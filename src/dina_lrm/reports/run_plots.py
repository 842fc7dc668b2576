"""Plots of a training run and strips of ranked images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dina_lrm.reports.axes import in_plot, panels_of
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.theme import ADAPTIVE, Theme
from dina_lrm.reports.titles import title_of


def training_curves(
    rows: Sequence[Mapping[str, float | int | None]], measures: Sequence[str], x: str = "step", theme: Theme = ADAPTIVE
) -> Figure:
    """One panel for each measure of a run's `metrics.jsonl`: every value pale, a running mean over it where many.

    `rows` are its lines; a measure that a line lacks or holds as null is a gap.
    """
    with drawing(theme):
        figure, panels = panels_of(len(measures))
        for panel, measure in zip(panels, measures, strict=True):
            points = _points(rows, x, measure)
            panel.set_title(in_plot(title_of(measure)))
            panel.set_xlabel(x)
            panel.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
            panel.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            if len(points) == 0:
                panel.text(0.5, 0.5, "not recorded", transform=panel.transAxes, ha="center", color=theme.quiet)
                continue
            steps, values = points[np.argsort(points[:, 0], kind="stable")].T
            window = len(values) // 20
            pale = window >= 2 and _is_noisy(values)
            marker = "o" if len(values) < 20 else None
            panel.plot(
                steps,
                values,
                color=theme.colour(0),
                alpha=0.3 if pale else 1,
                linewidth=1.2 if pale else 2,
                marker=marker,
                markersize=4,
            )
            if pale:
                panel.plot(steps, _running_mean(values, window), color=theme.colour(0))
        return figure


def image_strips(
    rows: Mapping[str, Sequence[tuple[np.ndarray, str]]], theme: Theme = ADAPTIVE, size: float = 1.0
) -> Figure:
    """Rows of images, each with a short text under it; the keys stand over the rows. Images are (h, w, 3) arrays."""
    columns = max(len(images) for images in rows.values())
    lines = max(text.count("\n") + 1 for images in rows.values() for _, text in images)
    with drawing(theme):
        figure = Figure(figsize=(columns * size + 0.4, len(rows) * (size + 0.16 + 0.17 * lines)))
        grid = figure.subplots(len(rows), columns, squeeze=False)
        for axes_row, (title, images) in zip(grid, rows.items(), strict=True):
            for axes in axes_row:
                axes.set_axis_off()
            for axes, (image, text) in zip(axes_row, images, strict=False):
                axes.imshow(image, interpolation="nearest" if max(image.shape[:2]) <= 64 else "antialiased")
                axes.text(
                    0.5, -0.06, text, transform=axes.transAxes, ha="center", va="top", fontsize=8, color=theme.quiet
                )
            heading = axes_row[0].text(0, 1.07, title, transform=axes_row[0].transAxes, va="bottom", fontsize=9)
            heading.set_in_layout(False)  # or the first column would grow to the width of its heading
        return figure


def _points(rows: Sequence[Mapping[str, float | int | None]], x: str, measure: str) -> np.ndarray:
    """(n, 2) recorded values of a measure."""
    pairs = ((row.get(x), row.get(measure)) for row in rows)
    return np.array([pair for pair in pairs if None not in pair], dtype=float)


def _is_noisy(values: np.ndarray) -> bool:
    """Whether the curve wanders: a schedule or a slow measure is drawn as it is."""
    return bool(np.abs(np.diff(values)).sum() > 4 * np.ptp(values))


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    kernel = np.ones(window)
    # Dividing by the number of values inside keeps the ends honest.
    return np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")
