"""Plots of the alignment study: all series over the updates, and true utility over the FLOPs that were spent."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from dina_lrm.alignment.monitor.alarm import AlarmSettings
from dina_lrm.experiments.alignment.alarms import window_of
from dina_lrm.experiments.alignment.costs import AlignmentCost
from dina_lrm.experiments.alignment.equal_compute import gains_by_run
from dina_lrm.experiments.alignment.estimates import Cells, gain, of_variant, present
from dina_lrm.experiments.alignment.studies import ALIGNMENT_VARIANTS, AlignmentStudy
from dina_lrm.reports.alignment_plots import MANY_RUNS, alignment_curves
from dina_lrm.reports.axes import legend_above, line_with_band
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.theme import LIGHT


def curves(study: AlignmentStudy, cells: Cells) -> Figure:
    """Rewards, truth and measures of the pictures over the updates, with the alarms that would have sounded."""
    runs = {
        ALIGNMENT_VARIANTS[name].label: [cell.history for cell in of_variant(cells, name)]
        for name in present(study, cells)
        if name in study.drawn
    }
    return alignment_curves(runs, AlarmSettings(window=window_of(next(iter(cells.values())))), LIGHT)


def utility_over_compute(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> Figure:
    """True utility above the base model's over the FLOPs that were spent, mean of the seeds with its interval."""
    with drawing(LIGHT):
        figure = Figure(figsize=(7.2, 4.0))
        axes = figure.add_subplot()
        names = [name for name in present(study, cells) if name in study.drawn]
        for index, name in enumerate(names):
            own = of_variant(cells, name)
            looks = range(len(own[0].steps()))
            found = [gain(cells, name, "utility", look) for look in looks]
            known = [each.span for each in found if each is not None]
            spent = [costs[name].after(step) / 1e12 for step in own[0].steps()]
            line_with_band(
                axes, spent, known, ALIGNMENT_VARIANTS[name].label, index, LIGHT, band=len(names) <= MANY_RUNS
            )
        axes.axhline(0, color=LIGHT.quiet, linewidth=0.8)
        axes.set_xlabel("TFLOPs of the alignment")
        axes.set_ylabel("true utility above the base model's")
        legend_above(figure, axes)
        return figure


def gains_at_equal_compute(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> Figure | None:
    """Each run's gain of true utility with the FLOPs of one of them, the best on top; None where that is not shown."""
    found = gains_by_run(study, cells, costs)
    if not found:
        return None
    with drawing(LIGHT):
        figure = Figure(figsize=(7.2, 0.8 + 0.27 * len(found)))
        axes = figure.add_subplot()
        for row, (name, gained) in enumerate(found):
            colour = LIGHT.colour(0 if name != study.equal_compute else 1)
            middle, low, high = gained.span
            axes.hlines(row, low, high, color=colour, linewidth=1.8)
            axes.plot([middle], [row], "o", color=colour, markersize=5)
        axes.set_yticks(range(len(found)), [ALIGNMENT_VARIANTS[name].label for name, _ in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.axvline(0, color=LIGHT.quiet, linewidth=0.8)
        axes.set_xlabel("true utility above the base model's, at equal compute")
        return figure
