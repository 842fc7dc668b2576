r"""AWM, advantage-weighted matching (arXiv 2509.25050): the policy gradient with the matching error as log-likelihood.

    rho = exp(e_old - e),      L = max(-A rho, -A clamp(rho, 1 - c, 1 + c))

e is the policy's matching error of a sample and e_old that of the policy that drew it, at the same noise and level.
Where both agree rho is 1, and the gradient is A grad e: that of DiffusionNFT with A = 2 r - 1.

c is measured in e, whose unit is that of its weighting; None, the default, cuts nothing. The curvature along the
distance d to the old policy is then A + k, with k the weight of mean d^2 in the loss (`awm.hold`), for e without
weights: below 0 a bad sample repels without bound.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.forward.matching import wide
from dina_lrm.alignment.algorithms.policy_loss import PolicyLoss
from dina_lrm.typed import DinaError


def awm_loss(
    error: Float[Tensor, " samples"],
    old_error: Float[Tensor, " samples"],
    advantage: Float[Tensor, " samples"],
    clip: float | None = None,
) -> PolicyLoss:
    """The surrogate of each sample, in float32 at least; no gradient goes to `old_error`.

    Raises:
        ValueError: for a clip that is not above 0 and finite, and for an advantage that is not finite.
    """
    if clip is not None and not 0 < clip < math.inf:
        raise DinaError(f"awm_loss: clip {clip}; accepted: a finite number above 0, or None")
    if not bool(advantage.isfinite().all()):
        raise DinaError(f"awm_loss: advantage {advantage[~advantage.isfinite()][0].item()}; accepted: finite numbers")
    log_ratio = wide(old_error).detach() - wide(error)
    advantage = advantage.to(log_ratio.dtype)
    deviation = log_ratio.expm1()
    free = advantage * deviation
    bounded = free if clip is None else advantage * deviation.clamp(-clip, clip)
    with torch.no_grad():
        clipped = (bounded < free).to(free.dtype).mean()
        divergence = (deviation - log_ratio).mean()
    return PolicyLoss(-advantage - torch.minimum(free, bounded), 1 + deviation.detach(), clipped, divergence)
