r"""Guidance by the gradient of a reward, at sampling time and without training.

    x_0    the clean prediction of the velocity at x_t
    g      the gradient of the reward at x_0, divided by its root mean square
    x_0'   = x_0 + strength g
    v'     the velocity at the same x_t whose clean prediction is x_0'

It is Universal Guidance (arXiv 2302.07121) with the gradient taken at the clean prediction rather than through the
generator, so that a step costs one gradient of the reward and no backward pass of the generator. The reward is climbed
directly: a strength that is too large hacks it.

Several rewards that guide together are brought to one size: g is the weighted sum of their gradients, each divided by
its root mean square, so that none is louder for its scale. `matched_guidance` measures the move by the length of the
sampler's own step (RG-OPD of LRR) instead of by a strength.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    together: bool = False,
) -> Latents:
    """The velocity whose clean prediction lies `strength` up the reward's gradient. ValueError for one not finite.

    Of several rewards it is the gradient of their sum, or with `together` that of each at one size.
    """
    process = generator.process
    if together:
        clean = process.clean_from_velocity(x, velocity, level).detach()
        gradients = objective.gradients(clean, prompts, conditioning=conditioning)
        return process.velocity_from_clean(x, clean + strength * joined(gradients, objective.weights), level)
    with torch.enable_grad():
        clean = process.clean_from_velocity(x, velocity, level).detach().requires_grad_()
        total = objective(clean, prompts, conditioning=conditioning).total.sum()
        (gradient,) = torch.autograd.grad(total, clean)
    if not bool(gradient.isfinite().all()):
        raise DinaError(f"reward guidance at noise level {level.item():.4g}: the reward's gradient is not finite")
    size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    moved = clean.detach() + strength * gradient / size.clamp(min=1e-12)
    return process.velocity_from_clean(x, moved, level)


def joined(gradients: Mapping[str, Latents], weights: Mapping[str, float]) -> Latents:
    """One direction of several gradients: the weighted sum of each at a root mean square of 1, brought to 1 again.

    A positive factor on any gradient changes nothing; where one is 0 it says nothing, where all cancel the direction is
    0. Raises ValueError for other names than those of the weights.
    """
    if set(gradients) != set(weights) or not gradients:
        raise DinaError(
            f"guidance: gradients of {sorted(gradients)} and weights of {sorted(weights)}; accepted: the same"
        )
    return _of_unit_size(torch.stack([weights[name] * _of_unit_size(each) for name, each in gradients.items()]).sum(0))


def matched_guidance(
    x: Latents, x_next: Latents, gradients: Mapping[str, Latents], weights: Mapping[str, float], scale: float
) -> Latents:
    """The next state, moved up the joined gradients by `scale` times the length of the step from `x` to it.

    Gradients are those of rewards with respect to a state or a clean latent, by the rewards' names. Raises ValueError
    for a scale that is not finite, and as `joined` does.
    """
    return x_next + matched_move(x, x_next, gradients, weights, scale)


def matched_move(
    x: Latents, x_next: Latents, gradients: Mapping[str, Latents], weights: Mapping[str, float], scale: float
) -> Latents:
    """What `matched_guidance` adds."""
    if not math.isfinite(scale):
        raise DinaError(f"matched guidance: scale is {scale}; accepted: a finite number")
    return scale * _size(x_next - x) * joined(gradients, weights)


def _size(values: Latents) -> Latents:
    """Root mean square of each sample."""
    return values.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()


def _of_unit_size(values: Latents) -> Latents:
    # By its largest number first: the square of a gradient of 1e-25 is 0 in float32
    scaled = values / values.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(values.dtype).tiny)
    return scaled / _size(scaled).clamp(min=1e-12)
