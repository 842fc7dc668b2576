"""The study of best-of-N on the synthetic world: pools that are drawn once a seed, the curve read off them, its page.

Its folder holds pools/seed-N.npz, curve.json, curve.md (the table) and curve.png.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dina_lrm.experiments.sampling_curve import Schedule, best_of_n_curve, curve_plot, curve_table, stored_points
from dina_lrm.experiments.sampling_pools import Pool, draw_pool
from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.settings import usual_settings
from dina_lrm.reports.drawing import save_figure
from dina_lrm.runs.files import write_text
from dina_lrm.runs.ownership import check_results
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.sampling.ledger import UnitFlops, unit_flops
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.sampling.selection import SamplingPlan
from dina_lrm.synthetic.prompts import SYNTHETIC, prompts_of
from dina_lrm.typed import DinaError, to_plain

CURVE: Final = "curve.json"
TABLE: Final = "curve.md"
PLOT: Final = "curve.png"


@dataclass(frozen=True)
class SamplingStudy:
    """How much is drawn: candidates of each prompt in the pool of each seed; the prompts are the same for all seeds."""

    prompt_count: int = 64
    candidates: int = 16
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 10
    """Sampling steps, at least 10: cuts are at three and five tenths of them."""
    batch_size: int = 64

    def run(self, folder: Path, report: ReportProgress = lambda done, total: None) -> dict[str, Any]:
        """Draw the pools that `folder` lacks, and write curve, table and plot there; returns what curve.json holds.

        `report` is called with (candidates done, candidates). Raises ValueError for pools of another study, and
        NotReplaceableError for a folder whose files are somebody else's.
        """
        check_curve(folder)
        schedules = self.schedules()
        pools, units = self._pools(folder, sorted({step for one in schedules for step, _ in one.cuts}), report)
        largest = self.candidates * min(2, len(pools))
        points = best_of_n_curve(
            pools, [n for n in (2**power for power in range(12)) if n <= largest], schedules, units
        )
        found = {
            "prompts": self.prompt_count,
            "candidates": self.candidates,
            "seeds": list(self.seeds),
            "steps": self.steps,
            "schedules": to_plain(schedules),
            "unit flops": to_plain(units),
            "points": stored_points(points),
        }
        write_text(folder / CURVE, json.dumps(found, indent=1) + "\n")
        write_text(folder / TABLE, curve_table(points) + "\n")
        save_figure(curve_plot(points), folder / PLOT)
        return found

    def schedules(self) -> tuple[Schedule, ...]:
        """The cuts that are measured beside plain best-of-N, chosen on 32 other prompts of another seed."""
        early, late = 3 * self.steps // 10, self.steps // 2
        return (
            Schedule("clean, one cut", "clean", ((early, 0.25),)),
            Schedule("clean, two cuts", "clean", ((early, 0.375), (late, 0.125))),
            Schedule("noisy, two cuts", "noisy", ((early, 0.5), (late, 0.25))),
        )

    def _pools(self, folder: Path, cut_steps: Sequence[int], report: ReportProgress) -> tuple[list[Pool], UnitFlops]:
        prompts = list(prompts_of(SYNTHETIC, [0, 7], self.prompt_count).prompts)
        settings = replace(usual_settings(SYNTHETIC), rank=1, alpha=1.0, sampling_steps=self.steps)
        generator, pools = loaded_generator(settings, "cpu"), []
        with generator.reference():
            objective = Objective(generator, (RewardTerm(),), differentiable=False)
            for number, seed in enumerate(self.seeds):
                path = folder / "pools" / f"seed-{seed}.npz"
                plan = SamplingPlan(self.candidates, self.steps, seed, self.batch_size)
                if not path.is_file():

                    def told(done: int, total: int, before: int = number) -> None:
                        report(before * total + done, len(self.seeds) * total)

                    draw_pool(generator, objective, prompts, plan, cut_steps, told).save(path)
                pool = Pool.load(path)
                if (pool.plan.n, pool.plan.steps, pool.prompts) != (plan.n, plan.steps, tuple(prompts)):
                    raise DinaError(f"{path}: was drawn with other settings; give another --out, or remove it")
                pools.append(pool)
            return pools, unit_flops(generator, objective, self.steps, prompts[0])


def check_curve(folder: Path) -> None:
    """Raise NotReplaceableError for a folder whose curve, table or plot is not of an earlier study."""
    check_results(folder, CURVE, _is_curve, (TABLE, PLOT))


def _is_curve(found: Mapping[str, object]) -> bool:
    return {"points", "schedules", "unit flops"} <= found.keys()
