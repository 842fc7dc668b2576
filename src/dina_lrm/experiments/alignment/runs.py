"""A cell of the alignment study is made: a variant is aligned, and each of its looks is told the truth."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.monitor.looks import SAMPLES
from dina_lrm.alignment.trainer import AlignmentRun
from dina_lrm.evaluation.environment import environment
from dina_lrm.experiments.alignment.cells import cell_of_run
from dina_lrm.experiments.alignment.costs import AlignmentCost, alignment_cost, load_costs, save_costs
from dina_lrm.experiments.alignment.guided import GUIDED, guided_base
from dina_lrm.experiments.alignment.studies import ALIGNMENT_VARIANTS
from dina_lrm.experiments.cells import cell_name
from dina_lrm.experiments.pool import PoolJob, Stopped
from dina_lrm.experiments.run import Missing, run_missing
from dina_lrm.generators.load import loaded_generator
from dina_lrm.reports.gallery import gallery, save_gallery
from dina_lrm.synthetic.captions import distinct_captions

COSTS: Final = "costs.json"
PICTURES: Final = "pictures"
_PROMPTS: Final = 2_000
_LOOKED_AT: Final = [0, 7]
"""All seeds look at the same prompts."""
_COUNTED: Final = 16
"""Updates, at most, whose FLOPs are counted after the first, where one costs more than another."""
_GUIDED_BESIDE: Final = "distill-guidance"
"""The run beside which the base model under guidance is measured."""
_COLUMNS: Final = 5
_ROWS: Final = 6


@dataclass(frozen=True)
class AlignmentBudget:
    """How much every cell gets: the updates (None: as many as the variant has), and the prompts of a look."""

    steps: int | None
    looked_at: int


def align_cells(
    variants: Sequence[str],
    seeds: Sequence[int],
    budget: AlignmentBudget,
    folder: Path,
    workers: int,
    say: Callable[[str], None],
    report: Callable[[int, int], None],
) -> int:
    """Align what `folder`/cells lacks, as `run_missing` does, and count what variants cost; returns how many ran."""
    counted = load_costs(folder / COSTS)

    def kept(name: str, cost: AlignmentCost) -> str:
        counted[name] = cost
        save_costs(counted, folder / COSTS)
        return f"{name}: {cost.update / 1e9:.1f} GFLOPs an update"

    costs = [
        PoolJob(name, partial(_cost, name, budget), partial(kept, name)) for name in variants if name not in counted
    ]
    if _GUIDED_BESIDE in variants and not (folder / GUIDED).is_file():
        costs.append(PoolJob(GUIDED, partial(_guided, budget, folder), lambda told: told))
    jobs = partial(_jobs, budget, folder)
    return run_missing(variants, seeds, folder / "cells", jobs, workers, say, report, costs)


@contextmanager
def _jobs(budget: AlignmentBudget, folder: Path, missing: Missing) -> Iterator[list[PoolJob[str]]]:
    yield [PoolJob(cell_name(name, seed), partial(_one, name, seed, budget, folder)) for name, seed in missing]


def _one(name: str, seed: int, budget: AlignmentBudget, folder: Path) -> str:
    """Align and look; runs in a process of its own."""
    torch.set_num_threads(1)
    config = study_config(name, seed, budget)
    shown = distinct_captions(np.random.default_rng(_LOOKED_AT), budget.looked_at)
    with tempfile.TemporaryDirectory() as place:
        run = Path(place)
        began = time.perf_counter()
        aligned = AlignmentRun(
            config, loaded_generator(config.generator, "cpu", seed), _training_prompts(seed, shown), shown, run
        )
        outcome = aligned.run(lambda look: None, lambda step, steps, reward: None)
        if outcome.interrupted is not None:
            # A run that is asked to stop ends well, and would pass for a whole one here
            raise Stopped(f"stopped by {outcome.interrupted} after update {outcome.steps} of {config.steps}")
        seconds = time.perf_counter() - began
        cell = cell_of_run(run, name, seed, config.to_dict(), seconds, environment())
        if seed == 0:
            _draw(run, shown, cell.steps(), folder / PICTURES / f"{name}.png")
        shutil.rmtree(run / SAMPLES)
    cell.save(folder / "cells")
    gain = float(np.mean(cell.values("utility", -1) - cell.values("utility", 0)))
    return f"{cell.name}: true utility {gain:+.3f}, {seconds:.0f} s"


def study_config(name: str, seed: int, budget: AlignmentBudget) -> AlignConfig:
    """The run of a cell."""
    config = ALIGNMENT_VARIANTS[name].config()
    looks = replace(config.looks, prompts=budget.looked_at, images=1)
    steps = budget.steps or config.steps
    never = 10 * steps
    return replace(config, name=name, seed=seed, steps=steps, looks=looks, checkpoint_every=never)


def _training_prompts(seed: int, shown: Sequence[str]) -> list[str]:
    """None of which is looked at."""
    drawn = distinct_captions(np.random.default_rng([seed, 8]), _PROMPTS)
    return [prompt for prompt in drawn if prompt not in set(shown)]


def _guided(budget: AlignmentBudget, folder: Path) -> str:
    """Runs in a process of its own."""
    torch.set_num_threads(1)
    shown = distinct_captions(np.random.default_rng(_LOOKED_AT), budget.looked_at)
    found = guided_base(study_config(_GUIDED_BESIDE, 0, budget), list(shown))
    found.save(folder / GUIDED)
    return f"the base model under guidance: {len(found.looks)} looks"


def _draw(run: Path, shown: Sequence[str], steps: Sequence[int], path: Path) -> None:
    """The first prompts at some looks, evenly spread."""
    places = np.unique(np.linspace(0, len(steps) - 1, min(_COLUMNS, len(steps))).round().astype(int))
    columns = {}
    for place in places:
        with np.load(run / SAMPLES / f"step-{steps[place]}.npz") as found:
            columns[f"step {steps[place]}"] = found["images"][:_ROWS]
    save_gallery(gallery(columns, list(shown[:_ROWS])), path)


def _cost(name: str, budget: AlignmentBudget) -> AlignmentCost:
    """Runs in a process of its own."""
    torch.set_num_threads(1)
    config = study_config(name, 0, budget)
    # The step that ReFL learns from is drawn, and of LPO's pairs some are kept
    counted = _COUNTED if isinstance(config, ReflConfig | LpoConfig) else 1
    more = min(counted, max(1, config.steps - 1))
    return alignment_cost(config, loaded_generator(config.generator, "cpu"), _training_prompts(0, ()), more)
