r"""ReFL (ImageReward, arXiv 2304.05977; DiNa-LRM, section 5): the gradient of a reward through one step of denoising.

    x_T -> x_k    without gradient, guided, k drawn from [first, last]
    x_0           the clean prediction at x_k, with gradient and without guidance
    L             shaped -reward(x_0), beside the pretraining loss on the base model's own samples or on pictures

Through how much of the sampler the gradient goes is `refl.through`; this is its way `one`, and the others are beside it
in `through/`. Everything that is drawn is a function of (seed, step, image), k of the micro-batch, and the noise that a
latent reward sees is one draw an update: a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch

from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome, means
from dina_lrm.alignment.algorithms.clean_samples import CleanSamples, preferred_samples
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.alignment.algorithms.through.pretraining import Pretraining
from dina_lrm.alignment.algorithms.through.way import Drawn
from dina_lrm.alignment.algorithms.through.ways import WAYS
from dina_lrm.generators.generator import Generator
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective


@final
class Refl(Algorithm[ReflConfig]):
    """Reward feedback learning."""

    differentiable: ClassVar[bool] = True

    def __init__(
        self, config: ReflConfig, generator: Generator, objective: Objective, prompts: Sequence[str],
        processes: Processes,
    ) -> None:  # fmt: skip
        super().__init__(config, generator, objective, prompts, processes)
        weight = config.refl.pretraining_weight
        pretraining = Pretraining(generator, self._clean_samples(), weight) if weight else None
        self._way = WAYS[config.refl.through](generator, objective, self.levels, config.refl, pretraining)

    def update(self, step: int, learn: Learn) -> Outcome:
        """One optimiser step on the mean loss of the batch."""
        config, parts, steps = self.config, self.own_parts(), self._way.steps
        rng = np.random.default_rng([config.seed, step])
        prompts = self.drawn_prompts(rng, config.batch_size)
        seeds = rng.integers(2**62, size=config.batch_size)
        late = rng.integers(steps.start, steps.stop, size=config.batch_size // config.micro_batch)
        pulled = []
        for rows in parts:
            k = int(late[rows.start // config.micro_batch])
            drawn = Drawn(prompts[rows], seeds[rows].tolist(), k, int(seeds[0] % 2**31))
            pulled.append(self._way.pull(drawn, len(parts)))
        loss = float(np.mean([each.loss for each in pulled]))
        reward = float(np.mean([each.rewards.total.mean().item() for each in pulled]))
        return Outcome(loss, reward, means([each.rewards.parts for each in pulled]), learn())

    def _clean_samples(self) -> CleanSamples:
        config = self.config
        rng = np.random.default_rng([config.seed, 2**31])
        if config.refl.pretraining_data is not None:
            count = config.refl.pretraining_samples
            return preferred_samples(self.generator, config.refl.pretraining_data, count, rng, config.micro_batch)
        prompts = [self.prompts[i] for i in rng.integers(len(self.prompts), size=config.refl.pretraining_samples)]
        seeds = rng.integers(2**62, size=len(prompts)).tolist()
        latents = [clean for _, _, clean in self.base_samples(prompts, seeds)]
        return CleanSamples(torch.cat(latents), tuple(prompts))
