"""The pretraining loss beside a reward's: the velocity of clean samples, at one random noise level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.clean_samples import CleanSamples
from dina_lrm.alignment.algorithms.refl_loss import with_pretraining
from dina_lrm.generators.generator import Generator


@final
class Pretraining:
    """Mixes the mean squared error on clean samples into a loss, with weight w: (loss + w mse) / (1 + w)."""

    def __init__(self, generator: Generator, clean: CleanSamples, weight: float) -> None:
        self._generator, self._clean, self.weight = generator, clean, weight

    def mixed(self, loss: Float[Tensor, ""], seeds: Sequence[int]) -> Float[Tensor, ""]:
        """The loss with the error on as many clean samples as there are `seeds`, which decide them and their noise."""
        generator, clean = self._generator, self._clean
        rng = np.random.default_rng(seeds)
        rows = rng.integers(len(clean.prompts), size=len(seeds))
        level = torch.from_numpy(rng.random(1)).float().clamp(0.01, 0.99)[0]
        x_0 = clean.latents[torch.from_numpy(rows)]
        noise = generator.noise([seed + 1 for seed in seeds])
        conditioning = generator.encode_prompts([clean.prompts[row] for row in rows])
        velocity = generator.velocity(generator.process.add_noise(x_0, noise, level), level, conditioning)
        target = generator.process.velocity(x_0, noise, level)
        return with_pretraining(loss, velocity, target, self.weight)
