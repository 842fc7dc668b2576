"""Pools of candidates on the synthetic world, scored on the way, at the end, and by the oracle.

Trajectories do not see each other, so that what any cut would have chosen and spent can be read off a pool: `replay`.
A pool is drawn once a seed and kept as a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from dina_lrm.generators.generator import Generator
from dina_lrm.generators.kernels import Ode
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.sampling.ledger import Evaluations
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.pruning import Pruning, survivors
from dina_lrm.sampling.selection import SamplingPlan
from dina_lrm.sampling.step_scores import StepScorer
from dina_lrm.synthetic.captions import true_values

READINGS = ("clean", "noisy")
Table = Float[np.ndarray, "prompts candidates"]


@dataclass(frozen=True)
class Pool:
    """Scores of all candidates of all prompts, one row a prompt."""

    plan: SamplingPlan
    prompts: tuple[str, ...]
    final: Table
    """The reward of the finished samples."""
    utility: Table
    """What they are truly worth."""
    steps: dict[str, Table]
    """Scores on the way, by "READING STEP"."""
    guided: bool
    """Whether a step is two evaluations of the generator."""

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        facts = json.dumps({"plan": asdict(self.plan), "prompts": self.prompts, "guided": self.guided})
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_when_complete(path) as temporary, temporary.open("wb") as file:
            arrays: dict[str, Any] = {"facts": facts, "final": self.final, "utility": self.utility, **self.steps}
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> Pool:
        """Read what `save` wrote."""
        with np.load(path) as found:
            facts = json.loads(str(found["facts"]))
            steps = {name: found[name] for name in found.files if name not in ("facts", "final", "utility")}
            plan, prompts = SamplingPlan(**facts["plan"]), tuple(facts["prompts"])
            return cls(plan, prompts, found["final"], found["utility"], steps, facts["guided"])


@torch.no_grad()
def draw_pool(
    generator: Generator,
    objective: Objective,
    prompts: Sequence[str],
    plan: SamplingPlan,
    cut_steps: Sequence[int],
    report: Callable[[int, int], None] | None = None,
) -> Pool:
    """Follow every candidate to the end, and score all at each of `cut_steps` by both readings."""
    scorer, levels = StepScorer(generator, objective, "noisy"), generator.levels(plan.steps)
    seeds = [seed for number in range(len(prompts)) for seed in plan.seeds(number)]
    texts = [prompt for prompt in prompts for _ in range(plan.n)]
    encoded = generator.encode_prompts(prompts)
    columns: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(seeds), plan.batch_size):
        some = slice(start, start + plan.batch_size)
        told, x = texts[some], generator.start(generator.noise(seeds[some]), levels[0])
        given = encoded[[number // plan.n for number in range(start, start + len(told))]]
        for step, (level, following) in enumerate(pairwise(levels)):
            velocity = generator.velocity(x, level, given, generator.guidance)
            if step in cut_steps:
                clean = scorer.clean(x, velocity, level, told, given)
                noisy = scorer.noisy(x, level, told, given)
                for name, scores in zip(READINGS, (clean, noisy), strict=True):
                    columns.setdefault(f"{name} {step}", []).append(scores.cpu().numpy())
            x = Ode().step(generator.process, x, velocity, level, following).mean
        columns.setdefault("final", []).append(objective(x, told, conditioning=given).total.cpu().numpy())
        pixels = generator.pictures(x)
        columns.setdefault("utility", []).append(true_values(pixels, told)["utility"])
        if report is not None:
            report(min(start + plan.batch_size, len(seeds)), len(seeds))
    tables = {name: np.concatenate(parts).reshape(len(prompts), plan.n) for name, parts in columns.items()}
    final, utility = tables.pop("final"), tables.pop("utility")
    return Pool(plan, tuple(prompts), final, utility, tables, generator.guidance > 1.0)


@dataclass(frozen=True)
class Replayed:
    """What best-of-N would have chosen among some candidates of a prompt, and spent on all of them."""

    chosen: int
    spent: Evaluations


def replay(pool: Pool, row: int, candidates: range, pruning: Pruning | None) -> Replayed:
    """Choose and count as `best_of_n` with a latent reward. KeyError for a cut whose step the pool did not score."""
    left, spent, done = np.array(candidates), Evaluations(), 0
    forwards = 2 if pool.guided else 1
    for cut in () if pruning is None else pruning.cuts:
        assert pruning is not None
        # The clean estimate is of the velocity at the cut; a noisy state is scored before it
        paid = cut.step + (1 if pruning.reading == "clean" else 0)
        spent += Evaluations(generator=forwards * (paid - done) * len(left), reward=len(left))
        done = paid
        scores = torch.from_numpy(pool.steps[f"{pruning.reading} {cut.step}"][row, left])
        left = left[survivors(scores, torch.zeros(len(left), dtype=torch.int64), cut).numpy()]
    spent += Evaluations(generator=forwards * (pool.plan.steps - done) * len(left), reward=len(left))
    return Replayed(int(left[pool.final[row, left].argmax()]), spent)
