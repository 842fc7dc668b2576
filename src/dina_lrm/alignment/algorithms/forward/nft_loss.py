r"""DiffusionNFT (arXiv 2509.16117): good samples are matched by a step towards, bad ones by a step away.

    v+ = (1 - beta) v_old + beta v,      v- = (1 + beta) v_old - beta v
    L  = (r e(v+) + (1 - r) e(v-)) / beta,       e(u) = mean (u - v*)^2,  v* the sample's own velocity

with r in [0, 1] how good the sample is. With d = v - v_old and a = v_old - v*, for `uniform` weights,

    L  = e(v_old) / beta + 2 (2 r - 1) <a, d> + beta <d, d>

so that the value where both agree tells nothing of r and the gradient there is all of it; in expectation the best v is
v_old + (2 / beta) Cov(r, v* | x_t).

`adaptive` (the authors' code) takes both errors of the clean prediction, each divided by its own mean absolute error,
which is the same as s e(u) / mean |u - v*| with s the noise's share of the state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.forward.matching import adaptive_error, per_sample, wide
from dina_lrm.alignment.algorithms.forward.nft_settings import NftWeighting
from dina_lrm.generators.generator import Latents
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class ForwardLoss:
    """`loss` of each sample, and how far the policy is from the one that drew them."""

    loss: Float[Tensor, " samples"]
    deviation: Float[Tensor, ""]
    """Mean squared distance of the two velocities."""


def nft_loss(
    velocity: Latents,
    old: Latents,
    target: Latents,
    level: Float[Tensor, " samples"],
    optimality: Float[Tensor, " samples"],
    beta: float = 1.0,
    weighting: NftWeighting = "adaptive",
) -> ForwardLoss:
    """The loss of each sample, in float32 at least.

    Args:
        velocity: Predicted by the policy, with its gradient.
        old: Predicted at the same states by the policy that drew the samples; no gradient goes there.
        target: The velocity from each sample to its noise.
        level: The noise's share of each state in [0, 1]: its noise level for rectified flow.
        optimality: How good each sample is, in [0, 1]; 1/2 teaches nothing.
        beta: How far the two steps are from the old policy, above 0: smaller is a larger step.
        weighting: Of errors: "adaptive" or "uniform".

    Raises:
        ValueError: for an optimality outside [0, 1], NaN among them, or a beta that is not above 0.
    """
    if not 0 < beta < math.inf:
        raise DinaError(f"nft_loss: beta {beta}; accepted: a finite number above 0")
    outside = ~((optimality >= 0) & (optimality <= 1))
    if bool(outside.any()):
        raise DinaError(f"nft_loss: optimality {optimality[outside][0].item()}; accepted: numbers in [0, 1]")
    velocity, old, target = wide(velocity), wide(old).detach(), wide(target)
    d = velocity - old
    good, bad = (_error(old + sign * beta * d - target, level, weighting) for sign in (1, -1))
    r = optimality.to(good.dtype)
    return ForwardLoss((r * good + (1 - r) * bad) / beta, d.detach().square().mean())


def _error(residual: Latents, level: Float[Tensor, " samples"], weighting: NftWeighting) -> Float[Tensor, " samples"]:
    """Mean square of a residual of velocities, weighted."""
    if weighting == "uniform":
        return per_sample(residual.square())
    if weighting != "adaptive":
        raise DinaError(f"weighting is {weighting!r}; accepted: 'adaptive' and 'uniform'")
    return adaptive_error(residual, level)
