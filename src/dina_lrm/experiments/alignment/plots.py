"""Plots of the alignment study: all series over the updates, and true utility over the FLOPs that were spent."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from dina_lrm.alignment.monitor.alarm import AlarmSettings
from dina_lrm.experiments.alignment.alarms import window_of
from dina_lrm.experiments.alignment.costs import AlignmentCost
from dina_lrm.experiments.alignment.estimates import Cells, gain, of_variant, present
from dina_lrm.experiments.alignment.studies import ALIGNMENT_VARIANTS, AlignmentStudy
from dina_lrm.reports.alignment_plots import alignment_curves
from dina_lrm.reports.axes import legend_above, line_with_band
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.theme import LIGHT


def curves(study: AlignmentStudy, cells: Cells) -> Figure:
    """Rewards, truth and measures of the pictures over the updates, with the alarms that would have sounded."""
    runs = {
        ALIGNMENT_VARIANTS[name].label: [cell.history for cell in of_variant(cells, name)]
        for name in present(study, cells)
    }
    return alignment_curves(runs, AlarmSettings(window=window_of(next(iter(cells.values())))), LIGHT)


def utility_over_compute(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> Figure:
    """True utility above the base model's over the FLOPs that were spent, mean of the seeds with its interval."""
    with drawing(LIGHT):
        figure = Figure(figsize=(7.2, 4.0))
        axes = figure.add_subplot()
        for index, name in enumerate(present(study, cells)):
            own = of_variant(cells, name)
            looks = range(len(own[0].steps()))
            found = [gain(cells, name, "utility", look) for look in looks]
            known = [each.span for each in found if each is not None]
            spent = [costs[name].after(step) / 1e12 for step in own[0].steps()]
            line_with_band(axes, spent, known, ALIGNMENT_VARIANTS[name].label, index, LIGHT)
        axes.axhline(0, color=LIGHT.quiet, linewidth=0.8)
        axes.set_xlabel("TFLOPs of the alignment")
        axes.set_ylabel("true utility above the base model's")
        legend_above(figure, axes)
        return figure
