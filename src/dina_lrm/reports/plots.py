"""Plots of evaluations. Each function returns a matplotlib figure in the colours of a theme.

`ADAPTIVE` is for pages (`Figure` of `reports.html`), `LIGHT` or `DARK` for files (`save_figure`). Several sets are
small multiples on shared axes rather than lines over one another; every point carries its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dina_lrm.evaluation.bootstrap import wilson_interval
from dina_lrm.evaluation.diagnostics import ALL, SEVERITIES
from dina_lrm.evaluation.generators.comparison import MeasureComparison
from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.results import EvaluationResult, ReadingResult, SetResult
from dina_lrm.reports.axes import (
    in_plot,
    label_rows,
    legend_above,
    line_with_band,
    mark_ceiling,
    panels_of,
    percent,
    percent_axis,
)
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.tables import tested_sets
from dina_lrm.reports.theme import ADAPTIVE, DASHES, MARKERS, Theme
from dina_lrm.reports.titles import title_of


def accuracy_over_noise(results: Sequence[EvaluationResult], theme: Theme = ADAPTIVE) -> Figure:
    """Accuracy against the noise level it was read at: one panel a set, one line a model, the ensemble at the right."""
    with drawing(theme):
        several = sum(reading.is_ensemble for reading in results[0].readings) > 1
        sets = tested_sets(results)
        figure, panels = panels_of(len(sets), sharey=True, foot=0.9 if several else 0.0)
        for panel, measured in zip(panels, sets, strict=True):
            panel.set_title(in_plot(title_of(measured.name)))
            for index, result in enumerate(results):
                found = result.find(measured.name)
                if found is not None:
                    _accuracy_line(panel, found.readings, result.model, index, theme)
            mark_ceiling(panel, measured.ceiling, theme)
            percent_axis(panel)
        _noise_axes(panels, results[0])
        label_rows(panels, "pairwise accuracy")
        if len(results) > 1:
            legend_above(figure, *panels)
        return figure


def score_histograms(result: EvaluationResult, reading: Reading | None = None, theme: Theme = ADAPTIVE) -> Figure:
    """Raw scores of the preferred and the other image of each pair, one panel a set."""
    with drawing(theme):
        figure, panels = panels_of(len(result.tests))
        for panel, measured in zip(panels, result.tests, strict=True):
            histogram = measured.at(reading or result.reference).histogram
            panel.set_title(in_plot(title_of(measured.name)))
            for index, (name, counts) in enumerate((("preferred", histogram.preferred), ("other", histogram.other))):
                colour = theme.colour(index)
                share = np.array(counts) / max(sum(counts), 1)
                panel.stairs(share, histogram.edges, fill=True, color=colour, alpha=0.28, linewidth=0)
                panel.stairs(share, histogram.edges, color=colour, linewidth=1.6, label=name)
            panel.set_yticks([])
            panel.grid(False)
            panel.set_ylim(bottom=0)
            panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            panel.set_xlabel("raw score")
        legend_above(figure, panels[0])
        return figure


def reliability_diagram(result: EvaluationResult, reading: Reading | None = None, theme: Theme = ADAPTIVE) -> Figure:
    """How often the image the model prefers is the one labelled better, against the probability it gave; where the true
    probabilities are known, their mean in each group too.
    """
    with drawing(theme):
        figure, panels = panels_of(len(result.tests), sharey=True)
        for panel, measured in zip(panels, result.tests, strict=True):
            _reliability_panel(panel, measured.at(reading or result.reference), theme)
            panel.set_title(in_plot(title_of(measured.name)))
        label_rows(panels, "share right")
        if panels and any(line.get_label() == "true probability" for line in panels[0].lines):
            legend_above(figure, panels[0])
        return figure


def model_bars(results: Sequence[EvaluationResult], theme: Theme = ADAPTIVE) -> Figure:
    """Models beside each other on every set, at their reference reading. Bars start at chance, 50 %."""
    bars = {
        result.model: {s.name: s.at(result.reference).accuracy.interval.span for s in result.tests}
        for result in results
    }
    return accuracy_bars(bars, {s.name: s.ceiling for s in tested_sets(results)}, theme)


def accuracy_bars(
    bars: Mapping[str, Mapping[str, tuple[float, float, float]]],
    ceilings: Mapping[str, float | None],
    theme: Theme = ADAPTIVE,
) -> Figure:
    """Bars of (accuracy, low, high) by model and set, from chance up or down; the keys of `ceilings` order the sets."""
    names = list(ceilings)
    width = 0.8 / len(bars)
    with drawing(theme):
        figure = Figure(figsize=(max(4.6, 1.0 + len(names) * (0.7 + 0.34 * len(bars))), 3.4))
        axes = figure.add_subplot()
        for index, (model, row) in enumerate(bars.items()):
            if not row:
                continue
            at = np.array([i for i, name in enumerate(names) if name in row]) + (index - (len(bars) - 1) / 2) * width
            value, low, high = np.array([row[name] for name in names if name in row]).T
            axes.bar(
                at, value - 0.5, width * 0.86, bottom=0.5, color=theme.colour(index), label=in_plot(model), linewidth=0
            )
            axes.vlines(at, low, high, color=theme.ink, linewidth=1.4)
        for i, ceiling in enumerate(ceilings.values()):
            if ceiling is not None:
                label = "ceiling" if i == 0 else "_nolegend_"
                axes.hlines(
                    ceiling, i - 0.46, i + 0.46, color=theme.quiet, linestyle=DASHES[2], linewidth=1.6, label=label
                )
        axes.set_xticks(range(len(names)), [in_plot(title_of(name)) for name in names])
        reach = [0.55, *(edge for row in bars.values() for _, *interval in row.values() for edge in interval)]
        reach += [ceiling for ceiling in ceilings.values() if ceiling is not None]
        axes.set_ylim(0.5 if min(reach) >= 0.5 else min(reach) - 0.02, max(reach) + 0.02)
        axes.set_ylabel("pairwise accuracy")
        percent_axis(axes)
        legend_above(figure, axes)
        return figure


def diagnostic_plot(result: SetResult, theme: Theme = ADAPTIVE) -> Figure:
    """A perfect image against one fault: how often it is ranked first, by kind (bold point) and severity."""
    kinds = list(dict.fromkeys(row.kind for row in result.diagnostics))
    sizes = {"all": 6.5, **dict(zip(SEVERITIES, (3.0, 5.5, 8.0), strict=True))}
    with drawing(theme):
        figure = Figure(figsize=(4.8, 0.9 + 0.36 * len(kinds)))
        axes = figure.add_subplot()
        for severity, size in sizes.items():
            rows = [row for row in result.diagnostics if row.severity == severity]
            y = [kinds.index(row.kind) for row in rows]
            overall = severity == ALL
            colour = theme.colour(0) if overall else theme.quiet
            fill = colour if overall else "none"
            if rows:
                axes.plot(
                    [row.accuracy for row in rows],
                    y,
                    "o",
                    markersize=size,
                    color=colour,
                    markerfacecolor=fill,
                    markeredgewidth=1.2,
                    label=severity,
                    zorder=3 if overall else 2,
                )
            if overall:
                axes.hlines(y, [row.low for row in rows], [row.high for row in rows], color=colour, linewidth=1.8)
        axes.axvline(0.5, color=theme.quiet, linestyle=DASHES[2], linewidth=1.2)
        axes.set_yticks(range(len(kinds)), [in_plot(kind) for kind in kinds])
        axes.tick_params(axis="y", labelcolor=theme.ink)
        axes.set_ylim(len(kinds) - 0.5, -0.5)
        axes.grid(False, axis="y")
        axes.grid(True, axis="x")
        axes.xaxis.set_major_formatter(FuncFormatter(percent))
        axes.set_xlabel("perfect image ranked first (chance: 50 %)")
        legend_above(figure, axes)
        return figure


def win_plot(judged: Sequence[MeasureComparison], theme: Theme = ADAPTIVE) -> Figure:
    """Shares of pairs that the tuned side wins, one line a judge, with intervals and the tie; all have a win rate."""
    with drawing(theme):
        figure = Figure(figsize=(4.8, 0.9 + 0.36 * len(judged)))
        axes = figure.add_subplot()
        for row, found in enumerate(judged):
            assert found.win_rate is not None, "chosen by the caller"
            value, low, high = found.win_rate.span
            colour = theme.colour(1 if found.role == "optimised" else 0)
            axes.hlines(row, low, high, color=colour, linewidth=1.8)
            axes.plot([value], [row], "o", markersize=6.5, color=colour)
        axes.axvline(0.5, color=theme.quiet, linestyle=DASHES[2], linewidth=1.4)
        names = [f"{found.name}, optimised" if found.role == "optimised" else found.name for found in judged]
        axes.set_yticks(range(len(judged)), [in_plot(name) for name in names])
        axes.tick_params(axis="y", labelcolor=theme.ink)
        axes.set_ylim(len(judged) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(False, axis="y")
        axes.grid(True, axis="x")
        axes.xaxis.set_major_formatter(FuncFormatter(percent))
        axes.set_xlabel("pairs won")
        return figure


def _accuracy_line(axes: Axes, readings: Sequence[ReadingResult], label: str, index: int, theme: Theme) -> None:
    colour = theme.colour(index)
    single = sorted((r for r in readings if r.reading.is_level), key=lambda r: r.reading.levels)
    if single:
        t = [r.reading.levels[0] for r in single]
        line_with_band(axes, t, [r.accuracy.interval.span for r in single], label, index, theme)
    for rank, result in enumerate(r for r in readings if r.reading.is_ensemble):
        x, name = _ensemble_position(rank) + 0.02 * index, None if single else in_plot(label)
        value, low, high = result.accuracy.interval.span
        axes.vlines(x, low, high, color=colour, linewidth=1.6)
        axes.plot(
            [x],
            [value],
            marker="*",
            markersize=11,
            color=colour,
            linestyle="none",
            label=name,
        )


def _ensemble_position(rank: int) -> float:
    return 1.1 + 0.14 * rank


def _noise_axes(panels: Sequence[Axes], result: EvaluationResult) -> None:
    ensembles = [reading for reading in result.readings if reading.is_ensemble]
    ticks, names = [0.0, 0.2, 0.4, 0.6, 0.8], ["0", "0.2", "0.4", "0.6", "0.8"]
    for rank, reading in enumerate(ensembles):
        ticks.append(_ensemble_position(rank))
        names.append("ensemble" if len(ensembles) == 1 else "+".join(f"{level:g}" for level in reading.levels))
    if not ensembles:
        ticks.append(1.0)
        names.append("1")
    for panel in panels:
        panel.set_xticks(ticks, names)
        panel.set_xlabel("noise level t")
        panel.set_xlim(-0.05, max(ticks) + 0.12)
        if len(ensembles) > 1:
            # Upright, names of several ensembles would lie on each other
            for label in panel.get_xticklabels()[-len(ensembles) :]:
                label.set(rotation=90, fontsize=8)


def _reliability_panel(axes: Axes, result: ReadingResult, theme: Theme) -> None:
    table = result.calibration.bins
    axes.plot([0.5, 1], [0.5, 1], color=theme.quiet, linestyle=DASHES[2], linewidth=1.4)
    share = np.array([row.pairs for row in table]) / result.calibration.pairs
    left, width = [row.low for row in table], table[0].high - table[0].low
    # How the pairs spread over the bins, as a quiet foot of the panel: at most a fifth of its height.
    axes.bar(left, 0.12 * share / share.max(), width * 0.9, bottom=0.4, align="edge", color=theme.quiet, alpha=0.35)
    confidence = [row.confidence for row in table]
    outcome = [row.outcome for row in table]
    bounds = [wilson_interval(row.outcome * row.pairs, row.pairs) for row in table]
    axes.vlines(confidence, *zip(*bounds, strict=True), color=theme.colour(0), linewidth=1.6)
    axes.plot(confidence, outcome, color=theme.colour(0), marker="o", markersize=5, linewidth=1.4, label="labels")
    if result.truth is not None and result.truth.bins:
        axes.plot(
            [row.confidence for row in result.truth.bins],
            [row.outcome for row in result.truth.bins],
            color=theme.colour(1),
            marker=MARKERS[1],
            markersize=4.5,
            linewidth=1.4,
            linestyle=DASHES[1],
            label="true probability",
        )
    measured = result.calibration
    text = f"ECE {100 * measured.ece:.1f} %  (perfect model: {100 * measured.ece_floor:.1f} %)"
    axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", color=theme.quiet, fontsize=9)
    axes.set_xlim(0.5, 1)
    axes.set_ylim(0.4, 1.08)
    axes.set_xlabel("predicted probability")
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    axes.set_yticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    axes.yaxis.set_major_formatter(FuncFormatter(percent))
