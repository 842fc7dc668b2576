r"""Latent preference optimisation (LPO, arXiv 2502.01051): which candidates of a step make a pair, and its loss.

From one state x_t, K candidates of the next state are drawn and scored at their own noise level. The best and the worst
make a pair, kept when P(best) - P(worst) is above a threshold that grows with the noise left. P is the softmax of the
two scores (the likelihood of Bradley and Terry), or another likelihood of the reward model:

    thr = low + (q - q_min) / (q_max - q_min) (high - low),      q = std of the step, its square, or t

    L = -log sigmoid(beta (log r_w - log r_l)),      r = clip(exp(logp - logp_ref), 1 - eps, 1 + eps)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import logsigmoid

from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class CandidatePairs:
    """The best and the worst candidate of each state."""

    best: Int64[Tensor, " states"]
    worst: Int64[Tensor, " states"]
    gap: Float[Tensor, " states"]
    """P(best preferred to worst) minus the opposite: in [0, 1)."""
    kept: Bool[Tensor, " states"]


def pair_threshold(
    quantity: Float[Tensor, ...] | float,
    lowest: float,
    highest: float,
    low: float = 0.35,
    high: float = 0.5,
) -> Float[Tensor, ...]:
    """The threshold at a step: `low` where the quantity is `lowest`, `high` at `highest`.

    The quantity of the paper is the standard deviation of the step that draws the candidates, which says how far apart
    they lie: `DenoisingStep.std`, not the process's sigma(t). Its square and t are the variants. SD1.5 has thresholds
    of 0.35 to 0.5, SDXL 0.45 to 0.6; low = high is a constant one. ValueError for an empty range, or for thresholds
    outside of [0, 1].
    """
    if not highest > lowest:
        raise DinaError(f"pair_threshold: from {lowest} to {highest}; accepted: a range with lowest < highest")
    if not 0 <= low <= high <= 1:
        raise DinaError(f"pair_threshold: thresholds {low} and {high}; accepted: 0 <= low <= high <= 1")
    share = (torch.as_tensor(quantity, dtype=torch.float32) - lowest) / (highest - lowest)
    return low + share.clamp(0, 1) * (high - low)


def best_and_worst(
    scores: Float[Tensor, "states candidates"],
    threshold: Float[Tensor, ...] | float,
    preferred: Callable[[Tensor], Tensor] = torch.sigmoid,
) -> CandidatePairs:
    """The pair of each state; `threshold` is one number, or one for each state.

    `preferred` gives the probability that the first of two is preferred from the margin of their scores.

    Raises:
        ValueError: for fewer than two candidates, or a score that is not finite.
    """
    if scores.shape[1] < 2:
        raise DinaError(f"best_and_worst: got {scores.shape[1]} candidate a state; accepted: at least two")
    bad = (~scores.isfinite()).nonzero().tolist()
    if bad:
        raise DinaError(
            f"best_and_worst: {len(bad)} scores are not finite, the first of candidate {bad[0][1]} of state {bad[0][0]}"
        )
    values = scores.float()
    (best, first), (worst, last) = values.max(dim=1), values.min(dim=1)
    gap = 2 * preferred(best - worst) - 1
    return CandidatePairs(first, last, gap, gap > threshold)


def lpo_loss(
    winner: Float[Tensor, " pairs"], loser: Float[Tensor, " pairs"], beta: float = 500.0, epsilon: float = 0.1
) -> Float[Tensor, " pairs"]:
    """Loss of each pair from the log-ratios to the reference of its two steps, means over dimensions; ln 2 where both
    are 0.

    A ratio outside of [1 - epsilon, 1 + epsilon] gives no gradient. ValueError unless beta > 0 and 0 < epsilon < 1.
    """
    if not 0 < beta < math.inf or not 0 < epsilon < 1:
        raise DinaError(f"lpo_loss: beta {beta}, epsilon {epsilon}; accepted: beta above 0, epsilon between 0 and 1")
    low, high = math.log1p(-epsilon), math.log1p(epsilon)
    log_w, log_l = (log_ratio.float().clamp(low, high) for log_ratio in (winner, loser))
    return -logsigmoid(beta * (log_w - log_l))
