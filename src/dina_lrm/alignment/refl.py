r"""ReFL (ImageReward, arXiv 2304.05977; DiNa-LRM, section 5): the gradient of a reward through one step of denoising.

    x_T -> x_k    without gradient, guided, k drawn from [first, last]
    x_0           the clean prediction at x_k, with gradient and without guidance
    L             shaped -reward(x_0), beside the pretraining loss on the base model's own samples

Everything that is drawn is a function of (seed, step, image): a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.generator import Generator, Latents
from dina_lrm.alignment.objective import Objective
from dina_lrm.alignment.refl_loss import refl_loss, with_pretraining


@dataclass(frozen=True)
class ReflOutcome:
    """What one update did: means over its images."""

    loss: float
    reward: float
    parts: dict[str, float]
    gradient_norm: float


@dataclass(frozen=True)
class OwnSamples:
    """Clean latents that the generator made before it learned, with their prompts."""

    latents: Latents
    prompts: tuple[str, ...]


class Refl:
    """Computes the gradient of one update and leaves it in the generator's LoRA."""

    def __init__(self, config: AlignConfig, generator: Generator, objective: Objective, prompts: Sequence[str]) -> None:
        if not prompts:
            raise ValueError("prompts: got none, accepted is at least one")
        self._config, self._generator, self._objective = config, generator, objective
        self._prompts = tuple(prompts)
        self._levels = generator.levels(config.generator.sampling_steps)
        self._own = self._own_samples() if config.refl.pretraining_weight else None

    def backward(self, step: int) -> ReflOutcome:
        """Accumulate the gradient of update `step` (from 0); clips it. ValueError for a reward that is not finite."""
        config = self._config
        rng = np.random.default_rng([config.seed, step])
        chosen = rng.choice(len(self._prompts), config.batch_size, replace=config.batch_size > len(self._prompts))
        seeds = rng.integers(2**62, size=config.batch_size)
        parts = range(0, config.batch_size, config.micro_batch)
        share = len(parts)
        losses, totals, named = [], [], []
        for start in parts:
            rows = slice(start, start + config.micro_batch)
            prompts = [self._prompts[i] for i in chosen[rows]]
            k = int(rng.integers(config.refl.first, config.refl.last + 1))
            loss, total, scores = self._forward(prompts, seeds[rows].tolist(), k, step)
            (loss / share).backward()
            losses.append(loss.item())
            totals.append(total.mean().item())
            named.append({name: values.mean().item() for name, values in scores.items()})
        norm = float(torch.nn.utils.clip_grad_norm_(self._generator.parameters.values(), config.clip_norm))
        if not math.isfinite(norm):
            raise ValueError(f"update {step + 1}: the norm of the gradient is {norm}; no weight was changed by it")
        means = {name: float(np.mean([each[name] for each in named])) for name in named[0]}
        return ReflOutcome(float(np.mean(losses)), float(np.mean(totals)), means, norm)

    def _forward(
        self, prompts: list[str], seeds: list[int], k: int, step: int
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " batch"], dict[str, Tensor]]:
        generator, settings = self._generator, self._config.refl
        conditioning = generator.encode_prompts(prompts)
        x = generator.denoise(generator.noise(seeds), conditioning, self._levels, steps=k)
        level = self._levels[k]
        velocity = generator.velocity(x, level, conditioning)
        clean = generator.process.clean_from_velocity(x, velocity, level)
        found = self._objective(clean, prompts, seeds[0] % 2**31, conditioning)
        loss = refl_loss(found.total, settings.shaping, settings.margin, settings.scale)
        if self._own is not None:
            loss = self._with_pretraining(loss, self._own, seeds)
        return loss, found.total.detach(), {name: values.detach() for name, values in found.parts.items()}

    def _with_pretraining(self, loss: Tensor, own: OwnSamples, seeds: list[int]) -> Float[Tensor, ""]:
        generator = self._generator
        rng = np.random.default_rng(seeds)
        rows = rng.integers(len(own.prompts), size=len(seeds))
        level = torch.from_numpy(rng.random(1)).float().clamp(0.01, 0.99)[0]
        x_0 = own.latents[torch.from_numpy(rows)]
        noise = generator.noise([seed + 1 for seed in seeds])
        conditioning = generator.encode_prompts([own.prompts[row] for row in rows])
        velocity = generator.velocity(generator.process.add_noise(x_0, noise, level), level, conditioning)
        target = generator.process.velocity(x_0, noise, level)
        return with_pretraining(loss, velocity, target, self._config.refl.pretraining_weight)

    def _own_samples(self) -> OwnSamples:
        config, generator = self._config, self._generator
        rng = np.random.default_rng([config.seed, 2**31])
        prompts = [self._prompts[i] for i in rng.integers(len(self._prompts), size=config.refl.pretraining_samples)]
        seeds = rng.integers(2**62, size=len(prompts)).tolist()
        with generator.reference():
            latents = [
                generator.denoise(
                    generator.noise(seeds[i : i + config.micro_batch]),
                    generator.encode_prompts(prompts[i : i + config.micro_batch]),
                    self._levels,
                )
                for i in range(0, len(prompts), config.micro_batch)
            ]
        return OwnSamples(torch.cat(latents), tuple(prompts))
