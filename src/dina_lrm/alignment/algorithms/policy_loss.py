r"""The policy loss of GRPO on denoising steps, its KL term, and GRPO-Guard (arXiv 2510.22319).

    ratio = exp(logp - logp_old)
    L     = max(-A ratio, -A clip(ratio, 1 - c, 1 + c))

    KL    = mean (m - m_ref)^2 / (2 s^2),      s = std sqrt(-dt) exact, s = std in Flow-GRPO's code

Guard. With m the mean of a step of scale s, logp - logp_old has the expectation -mean (m - m_old)^2 / (2 s^2) under the
old policy: ratios lean below 1, and clipping loses its symmetry. Guard takes that out and gives all steps one scale,

    ratio = exp((logp - logp_old + mean (m - m_old)^2 / (2 s^2)) s),      L / (-dt)
          = exp(mean (x' - m_old) (m - m_old) / s)                        as the squares cancel

A log-probability is a mean over the dimensions of a state, and everything is float32. Ratios are then so near 1 that
its grid there, 1.2e-7, is seen beside a clip of 3e-6. So log-ratios come from `DenoisingStep.log_ratio` or
`guarded_log_ratio`, which never subtract two log-probabilities, and `ratio - 1` is clipped instead of the ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.generators.kernels import DenoisingStep, GaussianStep
from dina_lrm.typed import DinaError

Divergence = Literal["exact", "flow-grpo"]


@dataclass(frozen=True)
class PolicyLoss:
    """`loss` of each sample, and what the update did so far."""

    loss: Float[Tensor, " samples"]
    ratio: Float[Tensor, " samples"]
    clipped: Float[Tensor, ""]
    """Share of samples on the flat side of the clip, from which no gradient comes."""
    divergence: Float[Tensor, ""]
    """Mean of `ratio - 1 - log ratio`, an estimate of the KL from the old policy."""


def clipped_policy_loss(
    log_ratio: Float[Tensor, " samples"], advantage: Float[Tensor, " samples"], clip: float
) -> PolicyLoss:
    """The clipped surrogate of each sample; ValueError unless `clip` is in (0, 1)."""
    if not 0 < clip < 1:
        raise DinaError(f"clip is {clip}; accepted: a number between 0 and 1")
    log_ratio, advantage = log_ratio.float(), advantage.float()
    deviation = log_ratio.expm1()
    free, bounded = advantage * deviation, advantage * deviation.clamp(-clip, clip)
    with torch.no_grad():
        clipped = (bounded < free).float().mean()
        # Below 1e-3 the difference is lost in rounding, and its first term is all of it to 3e-4.
        small = log_ratio.abs() < 1e-3
        divergence = torch.where(small, log_ratio.square() / 2, deviation - log_ratio).mean()
    return PolicyLoss(-advantage - torch.minimum(free, bounded), 1 + deviation.detach(), clipped, divergence)


def gaussian_kl(
    step: DenoisingStep,
    reference: DenoisingStep,
    how: Divergence = "exact",
    dt: Float[Tensor, ...] | float | None = None,
) -> Float[Tensor, " samples"]:
    """KL of a step from the reference's, of equal std, a mean over dimensions.

    "flow-grpo" divides by the std of the SDE without its factor sqrt(-dt), and needs `dt` < 0 for that.

    Raises:
        ValueError: for a step without noise, for steps of unequal std, or when "flow-grpo" has no `dt`.
    """
    variance = step.std.float().square().flatten()
    if not bool((variance > 0).all()):
        raise DinaError("gaussian_kl: a step without noise has no density")
    if not torch.allclose(step.std, reference.std):
        raise DinaError("gaussian_kl: the two steps have different std, which this formula does not know")
    if how == "flow-grpo":
        if dt is None or not bool((torch.as_tensor(dt) < 0).all()):
            raise DinaError(f"gaussian_kl: 'flow-grpo' needs dt below 0, got {dt}")
        variance = variance / -torch.as_tensor(dt, device=variance.device).flatten()
    elif how != "exact":
        raise DinaError(f"gaussian_kl: how is {how!r}; accepted: 'exact' and 'flow-grpo'")
    return _squared(step, reference) / (2 * variance)


def guarded_log_ratio(
    step: DenoisingStep, old: DenoisingStep, x_next: Float[Tensor, "samples channels height width"]
) -> Float[Tensor, " samples"]:
    """GRPO-Guard's log-ratio of a state drawn from `old`, of expectation 0 there.

    Raises:
        ValueError: for steps of coefficients-preserving, whose log-probability leaves the scale out and so has another
            expectation; for steps without noise or of unequal std.
    """
    if not isinstance(old, GaussianStep):
        raise DinaError(f"guarded_log_ratio: got a {type(old).__name__}; accepted: Gaussian steps (flow-sde, ddim)")
    if not torch.equal(step.std, old.std) or not bool((old.std > 0).all()):
        raise DinaError("guarded_log_ratio; accepted: two steps of one kernel between the same levels, with noise")
    old_mean = old.mean.float()
    return ((x_next.float() - old_mean) * (step.mean.float() - old_mean) / old.std.float()).flatten(1).mean(1)


def check_first_update(ratio: Float[Tensor, " samples"], tolerance: float = 1e-6) -> None:
    """At the first update the policy is the old one: ratio 1.

    Raises:
        ValueError: when it is not, with the likely causes.
    """
    worst = float((ratio.detach().float() - 1).abs().max())
    if not worst <= tolerance:
        raise DinaError(
            f"first update: a ratio differs from 1 by {worst:.2g}; accepted: {tolerance:g}. Sampling and training "
            "did not compute the same log-probability. Likely causes: dropout in the generator or its LoRA; another "
            "precision or attention backend in training; another batch size, guidance or prompt encoding; a LoRA that "
            "was changed between sampling and training"
        )


def _squared(step: DenoisingStep, other: DenoisingStep) -> Float[Tensor, " samples"]:
    return (step.mean.float() - other.mean.float()).square().flatten(1).mean(1)
