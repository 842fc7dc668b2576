r"""The loss of groups of pictures that a teacher has scored for one prompt: every pair, by the teacher's order.

    L_g = mean over i < j with |s_i - s_j| > gap of l(r_i - r_j, sigma_g, [s_i > s_j])

`l` is a preference objective, `s` the teacher's scores and `r` ours. Teachers invert pairs by much: with the fidelity
loss and an `epsilon` the gradient of a badly inverted pair is exactly 0, and it is never learned; without one, or with
the NLL, it is not (LRR's `losses.py` has 1e-6).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dina_lrm.preference.presets import PreferenceObjective
from dina_lrm.typed import require


def group_preference_loss(
    scores: Float[Tensor, "groups items"],
    targets: Float[Tensor, "groups items"],
    mask: Bool[Tensor, "groups items"],
    sigma: Float[Tensor, " groups"],
    objective: PreferenceObjective,
    gap: float = 0.0,
) -> Float[Tensor, " groups"]:
    """Mean loss of the pairs of each group that the teacher separates by more than `gap`; 0 where there is none.

    `mask` is True for items that are there; a target that is NaN is one that is not. `sigma` is that of the noise level
    of a group. Raises ValueError for a negative gap.
    """
    require(gap >= 0, "group_preference_loss: gap", gap, "a number of at least 0")
    first, second = torch.triu_indices(scores.shape[1], scores.shape[1], 1, device=scores.device)
    there = mask & targets.isfinite()
    difference = torch.where(there[:, first] & there[:, second], targets[:, first] - targets[:, second], 0.0)
    margin = torch.where(there, scores, 0.0)
    margin = margin[:, first] - margin[:, second]
    wanted = (difference.sign() + 1) / 2
    every = objective(margin.flatten(), sigma.repeat_interleave(len(first)), wanted.flatten()).view_as(margin)
    separated = difference.abs() > gap
    return torch.where(separated, every, 0.0).sum(dim=1) / separated.sum(dim=1).clamp(min=1)
