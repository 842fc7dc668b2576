"""What the cells of the ablations say: the rows of each table, the findings that they decide, and their plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

from matplotlib.figure import Figure

from dina_lrm.evaluation.interval import Interval
from dina_lrm.experiments.ablations.cells import Cell
from dina_lrm.experiments.ablations.estimates import (
    MEAN,
    SETS,
    accuracy,
    calibration_gain,
    check_comparable,
    difference,
    measure,
)
from dina_lrm.experiments.ablations.plots import REFERENCE, reading_name, row_plot, sweep_plot
from dina_lrm.experiments.ablations.tables import ABLATIONS, Ablation, Claim
from dina_lrm.experiments.ablations.uncertainty import (
    uncertain_levels,
    uncertainty_json,
    uncertainty_plot,
    uncertainty_table,
)
from dina_lrm.experiments.ablations.variants import VARIANTS
from dina_lrm.experiments.cells import load_cells
from dina_lrm.experiments.estimates import as_stored, written
from dina_lrm.experiments.page import PLOTS, LinkedImage, MarkdownTable, Part, StudyResults
from dina_lrm.reports.titles import title_of
from dina_lrm.screen import number_text


@final
@dataclass(frozen=True)
class AblationResults(StudyResults[Claim]):
    """Accuracies of trained variants and their differences, over the chosen seeds."""

    cells: Mapping[str, Cell]
    seeds: Sequence[int]
    template: ClassVar[str] = "ablations.md.jinja"
    gap_key: ClassVar[str] = "difference"
    gap_form: ClassVar[str] = "+.1f"
    percent: ClassVar[bool] = True

    @classmethod
    def of(cls, out: Path, seeds: Sequence[int]) -> AblationResults:
        """From OUT/cells. Raises ValueError for cells of different budgets, or measured on different pairs."""
        cells = load_cells(Cell, out / "cells")
        check_comparable(cells)
        return cls(cells, seeds)

    def is_measured(self, name: str) -> bool:
        """Whether one of its variants was trained with one of the seeds."""
        chosen = ABLATIONS[name]
        if chosen.uncertain is not None:
            return bool(uncertain_levels(chosen.uncertain, self.cells))
        return any(accuracy(self.cells, row, "in_domain", self.seeds) is not None for row in chosen.rows)

    def title(self, name: str) -> str:
        """The title of a table."""
        return ABLATIONS[name].title

    def claims(self, name: str) -> Sequence[Claim]:
        """The findings that a table decides."""
        return ABLATIONS[name].claims

    def where(self, name: str) -> str:
        """The number of the paper's table or figure."""
        return ABLATIONS[name].title.split(":")[0]

    def gap(self, claim: Claim) -> Interval | None:
        """The difference in accuracy, or in calibration error, over the seeds that both variants have."""
        if claim.calibration:
            return calibration_gain(self.cells, claim.better, claim.worse, self.seeds)
        return difference(self.cells, claim.better, claim.worse, claim.column, self.seeds)

    def rows(self, name: str) -> dict[str, object]:
        """Accuracies of each row on each set, and the uncertainty over noise draws where it is shown."""
        chosen, rows = ABLATIONS[name], []
        for row in chosen.rows:
            numbers = {column: accuracy(self.cells, row, column, self.seeds) for column in (*SETS, MEAN)}
            plain = {column: None if found is None else as_stored(found) for column, found in numbers.items()}
            rows.append({"variant": row.variant, "label": VARIANTS[row.variant].label, "reading": row.reading, **plain})
        if chosen.uncertain is None:
            return {"rows": rows}
        return {"rows": rows, "uncertainty": uncertainty_json(chosen.uncertain, self.cells, self.seeds)}

    def figures(self, name: str) -> dict[str, Figure]:
        """The rows with their intervals, and accuracy over noise levels where it is shown."""
        chosen = ABLATIONS[name]
        if chosen.uncertain is not None:
            return {name: uncertainty_plot(chosen.uncertain, self.cells, self.seeds)}
        figures = {name: row_plot(chosen, self.cells, self.seeds)}
        return figures | ({f"{name}-sweep": sweep_plot(chosen, self.cells, self.seeds)} if chosen.sweep else {})

    def part(self, name: str, out: Path) -> Part:
        """The table with its plots."""
        chosen = ABLATIONS[name]
        if chosen.uncertain is not None:
            table, shows = uncertainty_table(chosen.uncertain, self.cells, self.seeds), {"": "over noise level"}
        else:
            table, shows = self._table(chosen), {"": "accuracy of each row with its interval"}
        if chosen.sweep:
            shows["-sweep"] = "accuracy over noise level"
        images = [
            LinkedImage(f"{chosen.title}: {shown}", f"{PLOTS}/{name}{suffix}.png") for suffix, shown in shows.items()
        ]
        return Part(chosen.title, chosen.about, table, images)

    def opening(self) -> dict[str, object]:
        """How many models, what they cost, and what they were measured on."""
        some = next(iter(self.cells.values()))
        counts = Counter(cell.variant for cell in self.cells.values()).values()
        seconds = sum(cell.seconds for cell in self.cells.values())
        each = [
            f"{title_of(name).lower()} {number_text(some.sets[name].ceiling, '.1f', percent=True)}" for name in SETS
        ]
        return {
            "models": len(self.cells),
            "seeds": f"{min(counts)} to {max(counts)} seeds" if min(counts) < max(counts) else f"{max(counts)} seeds",
            "steps": some.steps,
            "prompts": f"{some.prompts:,}",
            "hours": f"{seconds / 3600:.1f}",
            "pairs": f"{some.sets['in_domain'].pairs:,}",
            "ceilings": ", ".join(each),
            "reference": VARIANTS[REFERENCE.variant].label,
            "reading": REFERENCE.reading,
        }

    def environment(self) -> dict[str, str]:
        """Where the first cell was made."""
        return next(iter(self.cells.values())).environment

    def _table(self, chosen: Ablation) -> MarkdownTable:
        sets = [title_of(name).lower() for name in SETS]
        heads = ["model", "read at", "mean", "against base", *sets, "ECE", "seeds"]
        rows = []
        for row in chosen.rows:
            values = [accuracy(self.cells, row, column, self.seeds) for column in (*SETS, MEAN)]
            known = [value for value in values if value is not None]
            if not known:
                continue
            gap = None if row == REFERENCE else difference(self.cells, row, REFERENCE, MEAN, self.seeds)
            ece = measure(self.cells, row, "in_domain", "ece", self.seeds)
            told = "" if gap is None else written(gap, self.gap_form, self.percent)
            error = "" if ece is None else number_text(ece, ".1f", percent=True)
            *shares, mean = [value.text(".1f", percent=True) for value in known]
            rows.append([VARIANTS[row.variant].label, reading_name(row), mean, told, *shares, error, str(known[0].n)])
        return MarkdownTable(heads, rows)
