"""What each image is credited with: the reward of its end for every step, or each step's own gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.advantages import Advantages
from dina_lrm.alignment.algorithms.grpo.level_scales import LevelScales, level_scales
from dina_lrm.alignment.algorithms.grpo.readings import StateReader
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.grpo.step_gains import step_advantages, step_gains
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.kernels import Kernel, Ode
from dina_lrm.sampling.objective import Objective

_BASE_SAMPLES = 2**31 + 1
"""Apart from the draws of updates, which are keyed by their number."""


@dataclass(frozen=True)
class BaseGroups:
    """Groups of images of the base model to measure by: as many as those of an update."""

    prompts: Sequence[str]
    seeds: Sequence[int]
    ids: Int64[Tensor, " images"]
    reward_seed: int


class DenseCredit:
    """Step rewards of one run: reads states, and turns scores of all processes into advantages.

    Raises:
        ValueError: for a reading that the reward does not allow.
    """

    def __init__(
        self, config: GrpoConfig, generator: Generator, objective: Objective, levels: Tensor, kernel: Kernel
    ) -> None:
        self._config, self._settings = config, config.grpo.dense
        self._generator, self._objective, self._levels = generator, objective, levels
        base = config.grpo.kl_weight > 0
        self.read = StateReader(generator, objective, self._settings, levels, kernel, base)
        self._scales: LevelScales | None = None

    @property
    def measures(self) -> bool:
        """Whether scores at different levels have to be brought to one unit."""
        return self._settings.reading == "noisy" and self._settings.level_scale != "none"

    def know(self, scales: LevelScales) -> None:
        """From now on, what scores of each level are multiplied by."""
        self._scales = scales

    def advantages(
        self, scores: Float[Tensor, "images states"], final: Float[Tensor, " images"], window: range, ids: Tensor
    ) -> Advantages:
        """Advantages of each step of the window, from the scores of its states and the rewards of the ends."""
        settings, numbers = self._settings, [*window, window.stop]
        if self.measures:
            assert self._scales is not None, "scales are known before the first update"
            factors = self._scales.factors(numbers, settings.level_scale).to(scores.device, scores.dtype)
            scores = scores * factors
            final = final / self._scales.final if settings.level_scale == "deviation" else final
        gains = step_gains(scores, final, settings.mix)
        gains = torch.where(self._told_little(window).to(scores.device), final[:, None], gains)
        return step_advantages(gains, ids, settings.scope, self._config.grpo.advantage_clip)

    def measured(self, groups: BaseGroups) -> LevelScales:
        """Scales of all levels that a step of a window may begin or end at, of the generator as it was."""
        scores, final = [], []
        size = self._config.micro_batch
        with torch.no_grad(), self._generator.reference():
            for start in range(0, len(groups.prompts), size):
                rows = slice(start, start + size)
                found, end = self._on_the_way(groups.prompts[rows], groups.seeds[rows], groups.reward_seed)
                scores.append(found)
                final.append(end)
        return level_scales(torch.cat(scores), torch.cat(final), groups.ids.to(final[0].device))

    def _on_the_way(self, prompts: Sequence[str], seeds: Sequence[int], reward_seed: int) -> tuple[Tensor, Tensor]:
        """Scores of the states of an ODE before each of its steps, and the reward of where it ends."""
        generator, levels = self._generator, self._levels
        conditioning = generator.encode_prompts(prompts)
        x, columns = generator.start(generator.noise(seeds), levels[0]), []
        for number in range(len(levels) - 1):
            columns.append(self.read.noisy(x, levels[number], prompts, conditioning))
            velocity = generator.velocity(x, levels[number], conditioning, generator.guidance)
            x = Ode().step(generator.process, x, velocity, levels[number], levels[number + 1]).mean
        return torch.stack(columns, dim=1), self._objective(x, prompts, reward_seed, conditioning).total

    def _told_little(self, window: range) -> Tensor:
        """The steps whose gain is not what they are credited with."""
        high = self._levels[window.start : window.stop].cpu() > self._settings.highest
        if not (self._settings.first_gain or self._config.grpo.shared_noise):
            high[0] = True
        return high


def base_groups(config: GrpoConfig, prompts: Sequence[str], rng: np.random.Generator) -> BaseGroups:
    """The groups that levels are measured by: `prompts`, with the images of a group each."""
    ids = np.repeat(np.arange(len(prompts)), config.grpo.group)
    seeds = rng.integers(2**62, size=len(ids)).tolist()
    named = [prompts[number] for number in ids.tolist()]
    return BaseGroups(named, seeds, torch.from_numpy(ids), int(rng.integers(2**31)))


def base_generator(config: GrpoConfig) -> np.random.Generator:
    """What base samples are drawn with: a function of the run's seed alone."""
    return np.random.default_rng([config.seed, _BASE_SAMPLES])
