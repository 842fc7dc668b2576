"""What the cells of the alignment study say: what each run gained, the findings that gains decide, and its plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, final

from matplotlib.figure import Figure

from dina_lrm.evaluation.interval import Interval
from dina_lrm.experiments.alignment.alarms import window_of
from dina_lrm.experiments.alignment.cells import TRUTH, AlignedCell
from dina_lrm.experiments.alignment.costs import AlignmentCost, load_costs
from dina_lrm.experiments.alignment.equal_compute import equal_compute_table, gains_by_run
from dina_lrm.experiments.alignment.estimates import (
    check_comparable,
    gain,
    gain_at,
    gain_difference,
    gain_difference_at,
    present,
    spent_by,
)
from dina_lrm.experiments.alignment.guided import GUIDED, GuidedBase
from dina_lrm.experiments.alignment.plots import curves, gains_at_equal_compute, utility_over_compute
from dina_lrm.experiments.alignment.runs import COSTS, PICTURES
from dina_lrm.experiments.alignment.studies import (
    ALIGNMENT_STUDIES,
    ALIGNMENT_VARIANTS,
    LAST_FIRST_SEED,
    AlignmentClaim,
)
from dina_lrm.experiments.alignment.tables import alarm_table, reached, runs_table
from dina_lrm.experiments.cells import load_cells
from dina_lrm.experiments.estimates import as_stored
from dina_lrm.experiments.page import PLOTS, LinkedImage, MarkdownTable, Part, StudyResults
from dina_lrm.reports.alignment_plots import MANY_RUNS


@dataclass(frozen=True)
class AlignmentPart(Part):
    """What the page says of a study of alignment, beside its table and plots."""

    reached: str
    """What runs compute until they are equally good; "" where that is not shown."""
    bands: bool
    """Whether the panels show the spread of the seeds."""
    equal: MarkdownTable | None
    """What every run gained with the FLOPs of one of them, where that is shown, the best first."""
    guided: MarkdownTable | None
    """What guidance of the base model gains without learning, where runs are compared at equal compute."""
    alarms: MarkdownTable
    pictures: Sequence[tuple[str, LinkedImage]]
    """Names of runs with their pictures over the updates."""


@final
@dataclass(frozen=True)
class AlignmentResults(StudyResults[AlignmentClaim]):
    """Gains of true utility of aligned generators, and what they compute."""

    cells: Mapping[str, AlignedCell]
    costs: Mapping[str, AlignmentCost]
    guided: GuidedBase | None
    template: ClassVar[str] = "alignment_study.md.jinja"
    gap_key: ClassVar[str] = "gain"
    gap_form: ClassVar[str] = "+.2f"

    @classmethod
    def of(cls, out: Path, seeds: Sequence[int]) -> AlignmentResults:
        """From OUT/cells and OUT/costs.json. Raises ValueError for cells that were looked at with different prompts."""
        cells = load_cells(AlignedCell, out / "cells")
        chosen = {name: cell for name, cell in cells.items() if cell.seed in seeds}
        check_comparable(chosen)
        return cls(chosen, load_costs(out / COSTS), GuidedBase.load(out / GUIDED))

    def is_measured(self, name: str) -> bool:
        """Whether one of its runs is there."""
        return bool(present(ALIGNMENT_STUDIES[name], self.cells))

    def title(self, name: str) -> str:
        """The title of a study."""
        return ALIGNMENT_STUDIES[name].title

    def claims(self, name: str) -> Sequence[AlignmentClaim]:
        """The findings that a study decides."""
        return ALIGNMENT_STUDIES[name].claims

    def where(self, name: str) -> str:
        """The title of a study."""
        return ALIGNMENT_STUDIES[name].title

    def gap(self, claim: AlignmentClaim) -> Interval | None:
        """The gain of true utility, or how far it is above that of another run."""
        named = (claim.better,) if claim.worse is None else (claim.better, claim.worse)
        if claim.at is not None:
            return self._gap_at(claim, claim.at) if {*named, claim.at} <= self.costs.keys() else None
        if claim.worse is None:
            return gain(self.cells, claim.better)
        return gain_difference(self.cells, claim.better, claim.worse)

    def _gap_at(self, claim: AlignmentClaim, budget: str) -> Interval | None:
        flops = spent_by(budget, self.cells, self.costs)
        if flops is None:
            return None
        if claim.worse is None:
            return gain_at(self.cells, claim.better, flops, self.costs[claim.better])
        return gain_difference_at(self.cells, (claim.better, claim.worse), flops, self.costs)

    def rows(self, name: str) -> dict[str, object]:
        """The gain of each true value by each run, and what an update of it computes."""
        rows: list[dict[str, object]] = []
        for variant in present(ALIGNMENT_STUDIES[name], self.cells):
            found = {value: gain(self.cells, variant, value) for value in TRUTH}
            gains = {value: as_stored(each) for value, each in found.items() if each is not None}
            cost = asdict(self.costs[variant]) if variant in self.costs else None
            rows.append({"variant": variant, "label": _label(variant), "cost": cost, "gain": gains})
        return {"rows": rows}

    def figures(self, name: str) -> dict[str, Figure]:
        """All series over the updates, and true utility over FLOPs where it is shown."""
        study = ALIGNMENT_STUDIES[name]
        figures = {name: curves(study, self.cells)}
        if study.over_compute:
            figures[f"{name}-compute"] = utility_over_compute(study, self.cells, self.costs)
        equal = gains_at_equal_compute(study, self.cells, self.costs)
        if equal is not None:
            figures[f"{name}-equal"] = equal
        return figures

    def part(self, name: str, out: Path) -> AlignmentPart:
        """The tables with the plots and the pictures that lie in `out`."""
        study, shows = ALIGNMENT_STUDIES[name], {"": "reward, truth and measures of the pictures"}
        if study.over_compute:
            shows["-compute"] = "true utility over compute"
        if gains_by_run(study, self.cells, self.costs):
            shows = {"-equal": "true utility at equal compute", **shows}
        pictures = {variant: f"{PICTURES}/{variant}.png" for variant in study.pictures}
        return AlignmentPart(
            study.title,
            study.about,
            runs_table(study, self.cells, self.costs),
            [LinkedImage(f"{study.title}: {shown}", f"{PLOTS}/{name}{end}.png") for end, shown in shows.items()],
            reached(study, self.cells, self.costs) if study.over_compute and study.equal_compute is None else "",
            sum(run in study.drawn for run in present(study, self.cells)) <= MANY_RUNS,
            equal_compute_table(study, self.cells, self.costs),
            self.guided.table() if self.guided is not None and study.equal_compute is not None else None,
            alarm_table(study, self.cells),
            [
                (_label(variant), LinkedImage(f"{_label(variant)}: pictures over the updates", file))
                for variant, file in pictures.items()
                if (out / file).is_file()
            ],
        )

    def opening(self) -> dict[str, object]:
        """How many runs, what they cost, and what they were looked at with."""
        some = next(iter(self.cells.values()))
        seeds = sorted({cell.seed for cell in self.cells.values()})
        return {
            "runs": len(self.cells),
            "seeds": ", ".join(map(str, seeds)),
            "later": seeds[-1] > LAST_FIRST_SEED,
            "hours": f"{sum(cell.seconds for cell in self.cells.values()) / 3600:.1f}",
            "pictures": len(some.values("utility", 0)),
            "window": window_of(some),
        }

    def environment(self) -> dict[str, str]:
        """Where the first cell was made."""
        return next(iter(self.cells.values())).environment


def _label(variant: str) -> str:
    return ALIGNMENT_VARIANTS[variant].label
