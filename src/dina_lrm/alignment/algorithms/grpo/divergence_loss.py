r"""A policy loss that is masked by the divergence from the old policy instead of clipped (FlowDPPO, arXiv 2606.11025).

    L = -A ratio,   0 where D >= tau and the ratio goes further: above 1 with A > 0, below 1 with A < 0
    D = mean (m - m_old)^2 / (2 s^2)           the KL of the Gaussian step from the old one, a mean over dimensions

Which side of 1 a ratio is on is read from GRPO-Guard's centred log-ratio. Under the old policy the plain one is
-D + noise of deviation sqrt(2 D / dims): where the mask should act it is nearly always below 1, so images with A > 0
would hardly ever be masked and those with A < 0 nearly always. The centred one is above 1 half of the time.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.policy_loss import PolicyLoss
from dina_lrm.typed import DinaError


def divergence_policy_loss(
    log_ratio: Float[Tensor, " samples"],
    centred: Float[Tensor, " samples"],
    divergence: Float[Tensor, " samples"],
    advantage: Float[Tensor, " samples"],
    threshold: float = 1e-5,
) -> PolicyLoss:
    """The surrogate of each sample, 0 and without gradient where it is masked; `clipped` is the masked share.

    Args:
        log_ratio: `DenoisingStep.log_ratio` of the new and the old step at what was drawn.
        centred: `guarded_log_ratio` of the same steps, of which the sign counts.
        divergence: `gaussian_kl(new, old, "exact")`; a divergence or a log-ratio that is not finite is refused.
        advantage: of each sample.
        threshold: tau, above 0; infinity masks nothing.
    """
    if not threshold > 0:
        raise DinaError(f"threshold is {threshold}; accepted: a number above 0")
    if not bool((log_ratio.isfinite() & centred.isfinite() & divergence.isfinite()).all()):
        raise DinaError("divergence_policy_loss: a log-ratio or a divergence is not finite; accepted: finite ones")
    log_ratio, advantage = log_ratio.float(), advantage.float()
    deviation = log_ratio.expm1()
    with torch.no_grad():
        masked = (divergence >= threshold) & (centred * advantage > 0)
    loss = (-advantage - advantage * deviation).masked_fill(masked, 0.0)
    return PolicyLoss(loss, 1 + deviation.detach(), masked.float().mean(), divergence.detach().mean())
