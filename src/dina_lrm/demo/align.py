"""The last part of the demonstration: a generator is aligned with the bundled reward model, and looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8

from dina_lrm.alignment.monitor.looks import Look
from dina_lrm.alignment.trainer import AlignmentRun
from dina_lrm.evaluation.bootstrap import interval_of_mean
from dina_lrm.evaluation.interval import Interval
from dina_lrm.generators.load import loaded_generator
from dina_lrm.recipes.alignment import refl_synthetic
from dina_lrm.synthetic.captions import distinct_captions, true_values

_PROMPTS: Final = 1_000


@dataclass(frozen=True)
class AlignJob:
    """ReFL by the recipe `synthetic` for some updates, looked at with `prompts` prompts before and after."""

    run: Path
    seed: int
    updates: int
    prompts: int
    threads: int


@dataclass(frozen=True, eq=False)
class BeforeAndAfter:
    """What came of it: the same prompts and noise before and after."""

    updates: int
    prompts: tuple[str, ...]
    before: UInt8[np.ndarray, "prompts rows columns 3"]
    after: UInt8[np.ndarray, "prompts rows columns 3"]
    utility_before: Float[np.ndarray, " prompts"]
    utility_after: Float[np.ndarray, " prompts"]
    reward_before: float
    reward_after: float
    golden_before: float
    golden_after: float

    @property
    def gain(self) -> Interval:
        """How much the mean true utility rose, with its interval over the prompts."""
        return interval_of_mean(self.utility_after - self.utility_before)


def align(job: AlignJob) -> BeforeAndAfter:
    """Align; runs in a process of its own."""
    torch.set_num_threads(job.threads)
    config = refl_synthetic()
    looks = replace(config.looks, every=job.updates, prompts=job.prompts, images=1)
    config = replace(config, seed=job.seed, steps=job.updates, looks=looks, checkpoint_every=job.updates)
    prompts = distinct_captions(np.random.default_rng([job.seed, 7]), _PROMPTS + job.prompts)
    generator = loaded_generator(config.generator, "cpu", job.seed)
    found: list[Look] = []
    run = AlignmentRun(config, generator, prompts[: -job.prompts], prompts[-job.prompts :], job.run)
    outcome = run.run(found.append, lambda step, steps, reward: None)
    if outcome.interrupted is not None:
        raise RuntimeError(f"the alignment was stopped by {outcome.interrupted} after update {outcome.steps}")
    first, last = found[0], found[-1]
    return BeforeAndAfter(
        updates=job.updates,
        prompts=first.prompts,
        before=first.images,
        after=last.images,
        utility_before=true_values(first.images, first.prompts)["utility"],
        utility_after=true_values(last.images, last.prompts)["utility"],
        reward_before=_mean(first, first.record.proxy),
        reward_after=_mean(last, last.record.proxy),
        golden_before=_mean(first, str(first.record.golden)),
        golden_after=_mean(last, str(last.record.golden)),
    )


def _mean(look: Look, judge: str) -> float:
    found = look.record.judges[judge].mean
    assert found is not None, "a judge that leaves pictures out has none of these"
    return found
