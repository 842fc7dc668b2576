r"""Guidance by the gradient of a reward, at sampling time and without training.

    x_0    the clean prediction of the velocity at x_t
    g      the gradient of the reward at x_0, divided by its root mean square
    x_0'   = x_0 + strength g
    v'     the velocity at the same x_t whose clean prediction is x_0'

It is Universal Guidance (arXiv 2302.07121) with the gradient taken at the clean prediction rather than through the
generator, so that a step costs one gradient of the reward and no backward pass of the generator. The reward is climbed
directly: a strength that is too large hacks it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.sampling.objective import Objective
from dina_lrm.typed import DinaError, require


@dataclass(frozen=True)
class RewardGuidance:
    """How far the clean prediction moves a step (a clean latent has a root mean square of about 1), and at which noise
    levels.
    """

    strength: float = 0.1
    lowest: float = 0.0
    highest: float = 0.8

    def __post_init__(self) -> None:
        require(0 < self.strength < math.inf, "guidance: strength", self.strength, "a finite number above 0")
        inside = 0 <= self.lowest < self.highest <= 1
        require(inside, "guidance: lowest, highest", (self.lowest, self.highest), "0 <= lowest < highest <= 1")

    def guides(self, level: float) -> bool:
        """Whether a step from this noise level is guided."""
        return self.lowest <= level <= self.highest


def guided_velocity(
    generator: Generator,
    objective: Objective,
    x: Latents,
    velocity: Latents,
    level: Tensor,
    prompts: Sequence[str],
    conditioning: Conditioning,
    strength: float,
) -> Latents:
    """The velocity whose clean prediction lies `strength` up the reward's gradient. ValueError for one not finite."""
    process = generator.process
    with torch.enable_grad():
        clean = process.clean_from_velocity(x, velocity, level).detach().requires_grad_()
        total = objective(clean, prompts, conditioning=conditioning).total.sum()
        (gradient,) = torch.autograd.grad(total, clean)
    if not bool(gradient.isfinite().all()):
        raise DinaError(f"reward guidance at noise level {level.item():.4g}: the reward's gradient is not finite")
    size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    moved = clean.detach() + strength * gradient / size.clamp(min=1e-12)
    return process.velocity_from_clean(x, moved, level)
