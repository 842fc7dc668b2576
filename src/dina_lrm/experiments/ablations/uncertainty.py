"""Table 4 in miniature: how much decisions depend on the noise that was drawn, level by level, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.figure import Figure

from dina_lrm.evaluation.interval import Interval
from dina_lrm.experiments.ablations.cells import Cell
from dina_lrm.experiments.ablations.estimates import uncertainty
from dina_lrm.experiments.estimates import as_stored, written
from dina_lrm.experiments.page import MarkdownTable
from dina_lrm.reports.axes import line_with_band, percent_axis
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.theme import LIGHT
from dina_lrm.typed import DinaError

MEASURES: Final = ("vr_common", "vr_independent", "margin", "variance")
_COLUMNS: Final = ("VR %, common noise", "VR %, noise of their own", "mean margin", "variance of a score")
_LABELS: Final = {"vr_common": "both images see one noise", "vr_independent": "each image sees its own"}


def uncertain_levels(variant: str, cells: Mapping[str, Cell]) -> list[float]:
    """The noise levels at which the variant's uncertainty was measured."""
    return sorted({row.level for cell in cells.values() if cell.variant == variant for row in cell.uncertainty})


def uncertainty_json(variant: str, cells: Mapping[str, Cell], seeds: Sequence[int]) -> list[dict[str, object]]:
    """One object a level, each measure with its interval over seeds."""
    return [
        {"level": level} | {name: as_stored(_known(cells, variant, level, name, seeds)) for name in MEASURES}
        for level in uncertain_levels(variant, cells)
    ]


def uncertainty_table(variant: str, cells: Mapping[str, Cell], seeds: Sequence[int]) -> MarkdownTable:
    """One row a level, each measure with its interval over seeds."""
    rows = []
    for level in uncertain_levels(variant, cells):
        common, own, margin, variance = (_known(cells, variant, level, name, seeds) for name in MEASURES)
        shares = [written(each, ".1f", percent=True) for each in (common, own)]
        rows.append([f"{level:g}", *shares, written(margin, ".3f"), written(variance, ".1e"), str(common.n)])
    return MarkdownTable(["scored at t", *_COLUMNS, "seeds"], rows)


def uncertainty_plot(variant: str, cells: Mapping[str, Cell], seeds: Sequence[int]) -> Figure:
    """Instability of decisions over the noise level, with common and with independent noise."""
    levels = uncertain_levels(variant, cells)
    with drawing(LIGHT):
        figure = Figure(figsize=(6.4, 3.4))
        axes = figure.add_subplot()
        for index, (name, label) in enumerate(_LABELS.items()):
            found = [_known(cells, variant, level, name, seeds) for level in levels]
            spans = [(value, max(0.0, low), high) for value, low, high in (each.span for each in found)]
            line_with_band(axes, levels, spans, label, index, LIGHT)
        axes.set_xlabel("noise level of scoring")
        axes.set_ylabel("share of draws that decide otherwise")
        percent_axis(axes)
        axes.legend(loc="upper left")
        return figure


def _known(cells: Mapping[str, Cell], variant: str, level: float, name: str, seeds: Sequence[int]) -> Interval:
    found = uncertainty(cells, variant, level, name, seeds)
    if found is None:
        raise DinaError(f"{variant} has no uncertainty at t = {level:g} for the seeds {list(seeds)}")
    return found
