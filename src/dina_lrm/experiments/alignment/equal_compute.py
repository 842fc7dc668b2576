"""What every run of a study gained with as many FLOPs as one of them spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dina_lrm.evaluation.interval import Interval
from dina_lrm.experiments.alignment.alarms import alarmed
from dina_lrm.experiments.alignment.cells import AlignedCell
from dina_lrm.experiments.alignment.costs import AlignmentCost
from dina_lrm.experiments.alignment.estimates import Cells, gain_at, of_variant, present, spent_by
from dina_lrm.experiments.alignment.studies import ALIGNMENT_VARIANTS, AlignmentStudy
from dina_lrm.experiments.page import MarkdownTable

_HEADS = (
    "run", "TFLOPs an update", "updates", "true utility", "alignment", "quality", "alarms until then, truth hidden",
    "drift", "pictures apart",
)  # fmt: skip


def equal_compute_table(
    study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]
) -> MarkdownTable | None:
    """A row for each run that was counted, by its gain, the best first; None where the study has no such run."""
    flops = _budget(study, cells, costs)
    if flops is None:
        return None
    rows = [_row(name, flops, cells, costs[name]) for name, _ in gains_by_run(study, cells, costs)]
    return MarkdownTable(_HEADS, rows)


def gains_by_run(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> list[tuple[str, Interval]]:
    """Names of runs with their gains of true utility at equal compute, the best first; none where it is not shown."""
    flops = _budget(study, cells, costs)
    if flops is None:
        return []
    gains = {name: gain_at(cells, name, flops, costs[name]) for name in present(study, cells) if name in costs}
    found = [(name, gained) for name, gained in gains.items() if gained is not None]
    return sorted(found, key=lambda each: -each[1].span[0])


def _budget(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> float | None:
    return None if study.equal_compute is None else spent_by(study.equal_compute, cells, costs)


def _row(name: str, flops: float, cells: Cells, cost: AlignmentCost) -> list[str]:
    own = [_until(cell, flops, cost) for cell in of_variant(cells, name)]
    gains = [gain_at(cells, name, flops, cost, value) for value in ("utility", "alignment", "quality")]
    told = [found.text("+.2f") for found in gains if found is not None]
    last = min(flops, cost.after(of_variant(cells, name)[0].steps()[-1]))
    updates = 0.0 if last < cost.first else 1 + (last - cost.first) / cost.update
    drift = [value for cell in own if (value := cell.records[-1].extra.get("drift")) is not None]
    return [
        ALIGNMENT_VARIANTS[name].label,
        f"{cost.update / 1e12:.3f}",
        f"{updates:.1f}".removesuffix(".0"),
        *told,
        alarmed(own, False),
        f"{np.mean(drift):.2g}" if drift else "",
        _apart(own),
    ]


def _until(cell: AlignedCell, flops: float, cost: AlignmentCost) -> AlignedCell:
    """The run as it was when so many FLOPs were spent, up to the look before."""
    looks = max(1, sum(cost.after(step) <= flops * (1 + 1e-9) for step in cell.steps()))
    truth = {name: rows[:looks] for name, rows in cell.truth.items()}
    return replace(cell, records=cell.records[:looks], truth=truth, spread=cell.spread[:looks])


def _apart(own: list[AlignedCell]) -> str:
    """By how many per cent pictures of the last look lie further apart than those of the base model."""
    found = [100 * (cell.spread[-1] / cell.spread[0] - 1) for cell in own if cell.spread]
    return f"{np.mean(found):+.0f} %" if found else ""
