"""Sampling with a reward as one job: the chosen samples of some prompts, beside the first sample of the same seeds.

```python
generator = loaded_generator(usual_settings("synthetic"), "cpu")
job = SamplingJob(RewardTerm("latent:synthetic"), SamplingPlan(n=16), Pruning(default_cuts(16, 20)))
sampled = job.run(generator, ["a small red ring on white"])
```
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dina_lrm.generators.generator import Generator
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.sampling.best_of_n import best_of_n
from dina_lrm.sampling.guidance import RewardGuidance
from dina_lrm.sampling.ledger import Evaluations, UnitFlops, unit_flops
from dina_lrm.sampling.noise_search import NoiseSearch, noise_search
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.pruning import Pruning
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.sampling.selection import SamplingPlan, Selection
from dina_lrm.typed import DinaError

Pixels = NDArray[np.uint8]
"""(n, height, width, 3)."""
Method = Pruning | RewardGuidance | NoiseSearch | None
"""How the reward is used beside the choice at the end; None is plain best-of-N."""


@dataclass(frozen=True)
class Sampled:
    """Chosen samples, one a prompt, beside the first sample of the same seeds."""

    chosen: tuple[Selection, ...]
    alone: tuple[Selection, ...]
    pixels: Pixels
    alone_pixels: Pixels
    units: UnitFlops
    seconds: float

    @property
    def spent(self) -> Evaluations:
        """On all prompts, the decoding of the chosen samples included."""
        return Evaluations.sum(one.spent for one in self.chosen) + Evaluations(decoder=len(self.chosen))

    @property
    def best_of_n(self) -> Evaluations:
        """What plain best-of-N would have spent."""
        candidates = sum(len(one.candidates) for one in self.chosen)
        one = Evaluations.sum(each.spent for each in self.alone)
        each = {name: count * candidates // len(self.alone) for name, count in asdict(one).items()}
        return Evaluations(**each) + Evaluations(decoder=len(self.chosen))

    @property
    def share(self) -> float:
        """FLOPs spent, as a share of what plain best-of-N would have spent."""
        return self.units.total(self.spent) / self.units.total(self.best_of_n)


@dataclass(frozen=True)
class SamplingJob:
    """Which reward chooses among how many candidates, and by which method.

    `guides`: with the method `RewardGuidance`, the rewards that guide, each at one size, in place of the one that
    chooses. `tuned`: the generator's LoRA was loaded and is to be used; otherwise the generator is sampled as it was
    before it learned.
    """

    reward: RewardTerm
    plan: SamplingPlan
    method: Method = None
    tuned: bool = False
    guides: tuple[RewardTerm, ...] = ()

    def run(self, generator: Generator, prompts: Sequence[str], report: ReportProgress | None = None) -> Sampled:
        """The chosen sample of each prompt and what it cost; `report` is called with (prompts done, prompts).

        Raises ValueError, before anything is sampled, for an empty or too long prompt, for a reward that is unknown or
        that the method cannot use, and for a method that does not fit the plan.
        """
        generator.check_prompts(prompts)
        guided = isinstance(self.method, RewardGuidance)
        if self.guides and not guided:
            raise DinaError(f"guides: {len(self.guides)} with a method that has no guidance; accepted: RewardGuidance")
        with nullcontext() if self.tuned else generator.reference():
            objective = Objective(generator, (self.reward,), differentiable=guided and not self.guides)
            guides = Objective(generator, self.guides) if self.guides else None
            start = time.perf_counter()
            found = self._select(generator, objective, guides, prompts, report)
            seconds = time.perf_counter() - start
            alone = best_of_n(generator, objective, prompts, replace(self.plan, n=1))
            units = unit_flops(generator, objective, self.plan.steps, prompts[0], guides)
            pixels, first = _pixels(generator, found), _pixels(generator, alone)
        return Sampled(tuple(found), tuple(alone), pixels, first, units, seconds)

    def _select(
        self,
        generator: Generator,
        objective: Objective,
        guides: Objective | None,
        prompts: Sequence[str],
        report: ReportProgress | None,
    ) -> list[Selection]:
        if isinstance(self.method, NoiseSearch):
            return noise_search(generator, objective, prompts, self.plan, self.method, report)
        pruning = self.method if isinstance(self.method, Pruning) else None
        guidance = self.method if isinstance(self.method, RewardGuidance) else None
        return best_of_n(generator, objective, prompts, self.plan, pruning, guidance, report, guides)


def _pixels(generator: Generator, selections: Sequence[Selection]) -> Pixels:
    """The chosen samples as pictures, decoded one by one."""
    return np.concatenate([generator.pictures(one.latents) for one in selections])
