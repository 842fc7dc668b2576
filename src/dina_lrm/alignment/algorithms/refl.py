r"""ReFL (ImageReward, arXiv 2304.05977; DiNa-LRM, section 5): the gradient of a reward through one step of denoising.

    x_T -> x_k    without gradient, guided, k drawn from [first, last]
    x_0           the clean prediction at x_k, with gradient and without guidance
    L             shaped -reward(x_0), beside the pretraining loss on the base model's own samples or on pictures

Everything that is drawn is a function of (seed, step, image), k of the micro-batch, and the noise that a latent reward
sees is one draw an update: a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome, means
from dina_lrm.alignment.algorithms.clean_samples import CleanSamples, preferred_samples
from dina_lrm.alignment.algorithms.refl_loss import refl_loss, with_pretraining
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
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
        self._clean = self._clean_samples() if config.refl.pretraining_weight else None

    def update(self, step: int, learn: Learn) -> Outcome:
        """One optimiser step on the mean loss of the batch."""
        config, parts = self.config, self.own_parts()
        rng = np.random.default_rng([config.seed, step])
        prompts = self.drawn_prompts(rng, config.batch_size)
        seeds = rng.integers(2**62, size=config.batch_size)
        late = rng.integers(config.refl.first, config.refl.last + 1, size=config.batch_size // config.micro_batch)
        losses, totals, named = [], [], []
        for rows in parts:
            k = int(late[rows.start // config.micro_batch])
            loss, total, scores = self._forward(prompts[rows], seeds[rows].tolist(), k, int(seeds[0] % 2**31))
            (loss / len(parts)).backward()
            losses.append(loss.item())
            totals.append(total.mean().item())
            named.append(scores)
        return Outcome(float(np.mean(losses)), float(np.mean(totals)), means(named), learn())

    def _forward(
        self, prompts: list[str], seeds: list[int], k: int, reward_seed: int
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " batch"], dict[str, Tensor]]:
        generator, settings = self.generator, self.config.refl
        conditioning = generator.encode_prompts(prompts)
        x = generator.denoise(generator.noise(seeds), conditioning, self.levels, steps=k)
        level = self.levels[k]
        velocity = generator.velocity(x, level, conditioning)
        clean = generator.process.clean_from_velocity(x, velocity, level)
        found = self.objective(clean, prompts, reward_seed, conditioning)
        loss = refl_loss(found.total, settings.shaping, settings.margin, settings.scale)
        if settings.kl_weight:
            with torch.no_grad(), generator.reference():
                base = generator.velocity(x, level, conditioning)
            loss = loss + settings.kl_weight * (velocity - base).square().mean()
        if self._clean is not None:
            loss = self._with_pretraining(loss, self._clean, seeds)
        return loss, found.total.detach(), {name: values.detach() for name, values in found.parts.items()}

    def _with_pretraining(self, loss: Tensor, clean: CleanSamples, seeds: list[int]) -> Float[Tensor, ""]:
        generator = self.generator
        rng = np.random.default_rng(seeds)
        rows = rng.integers(len(clean.prompts), size=len(seeds))
        level = torch.from_numpy(rng.random(1)).float().clamp(0.01, 0.99)[0]
        x_0 = clean.latents[torch.from_numpy(rows)]
        noise = generator.noise([seed + 1 for seed in seeds])
        conditioning = generator.encode_prompts([clean.prompts[row] for row in rows])
        velocity = generator.velocity(generator.process.add_noise(x_0, noise, level), level, conditioning)
        target = generator.process.velocity(x_0, noise, level)
        return with_pretraining(loss, velocity, target, self.config.refl.pretraining_weight)

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
