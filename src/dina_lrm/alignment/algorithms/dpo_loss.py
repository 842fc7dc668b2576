r"""Diffusion-DPO (Wallace et al., arXiv 2311.12908, Eq. 14) on velocities: the offline baseline of step-level methods.

    L = -log sigmoid( -beta / 2 ((e_w - e_w_ref) - (e_l - e_l_ref)) )

with e the mean squared error of a prediction at a noised sample. The paper's loss is on the noise; for a rectified flow
the velocity's error is that of the noise times (1 / alpha)^2, as in the pretraining loss of such models.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from dina_lrm.typed import DinaError


def dpo_loss(
    winner: Float[Tensor, " pairs"],
    loser: Float[Tensor, " pairs"],
    winner_reference: Float[Tensor, " pairs"],
    loser_reference: Float[Tensor, " pairs"],
    beta: float = 2000.0,
) -> Float[Tensor, " pairs"]:
    """Loss of each pair from four mean squared errors; ln 2 where model and reference agree. ValueError for a beta that
    is not above 0.
    """
    if not 0 < beta < math.inf:
        raise DinaError(f"dpo_loss: beta {beta}; accepted: a finite number above 0")
    inside = (winner.float() - winner_reference.float()) - (loser.float() - loser_reference.float())
    return -logsigmoid(-beta / 2 * inside)


def squared_error(predicted: Tensor, target: Tensor) -> Float[Tensor, " batch"]:
    """Mean squared error of a prediction over all axes but the batch."""
    return (predicted.float() - target.float()).square().flatten(1).mean(1)
