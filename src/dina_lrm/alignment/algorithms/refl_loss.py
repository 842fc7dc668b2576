r"""The loss of reward feedback learning (ReFL; ImageReward, arXiv 2304.05977) from the rewards of clean estimates.

    linear       -r                      the paper's
    relu         max(m - r, 0)           ImageReward's, m = 2: no pull on images that are good enough
    log-sigmoid  -log sigmoid(r)

and the pretraining loss that keeps the generator a generator: (L + lambda mse(v, eps - x_0)) / (1 + lambda).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from dina_lrm.alignment.algorithms.refl_settings import Shaping
from dina_lrm.typed import DinaError


def refl_loss(
    rewards: Float[Tensor, " samples"], shaping: Shaping = "linear", margin: float = 2.0, scale: float = 1.0
) -> Float[Tensor, ""]:
    """Mean over samples, times `scale` (ImageReward: 1e-3). ValueError for a reward that is not finite."""
    rewards = rewards.float()
    if not bool(rewards.isfinite().all()):
        bad = int((~rewards.isfinite()).nonzero()[0])
        raise DinaError(f"refl_loss: the reward at index {bad} is {rewards[bad].item()}")
    if shaping == "linear":
        shaped = -rewards
    elif shaping == "relu":
        shaped = (margin - rewards).clamp(min=0)
    elif shaping == "log-sigmoid":
        shaped = -logsigmoid(rewards)
    else:
        raise DinaError(f"shaping is {shaping!r}; accepted: 'linear', 'relu' and 'log-sigmoid'")
    return scale * shaped.mean()


def with_pretraining(
    refl: Float[Tensor, ""],
    velocity: Float[Tensor, "batch channels height width"],
    target: Float[Tensor, "batch channels height width"],
    weight: float,
) -> Float[Tensor, ""]:
    """`(refl + weight mse(velocity, target)) / (1 + weight)`; ValueError for a negative weight."""
    if not 0 <= weight < float("inf"):
        raise DinaError(f"pretraining weight is {weight}; accepted: a finite number of at least 0")
    if weight == 0:
        return refl
    return (refl + weight * torch.nn.functional.mse_loss(velocity.float(), target.float())) / (1 + weight)
