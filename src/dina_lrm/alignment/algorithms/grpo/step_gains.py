r"""What each step of a trajectory earned (DenseGRPO, arXiv 2601.20218, Eq. 7-10).

With R_k the score of the state before step k, and R the reward of what the trajectory ended at,

    g_k = c (R_{k+1} - R_k) + (1 - c) R

Gains sum to the last score minus the first. A level's offset is in the gains of a whole group alike and cancels in its
advantages; a level's scale does not (`level_scales.py`). c = 0 is the reward of the end for every step: Flow-GRPO.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.advantages import Advantages, grpo_advantages
from dina_lrm.alignment.algorithms.groups import group_means, groups_of
from dina_lrm.typed import DinaError

GainScope = Literal["step", "trajectory"]


def step_gains(
    scores: Float[Tensor, "samples states"], final: Float[Tensor, " samples"] | None = None, mix: float = 1.0
) -> Float[Tensor, "samples steps"]:
    """The gain of each step from the scores of the states before, between and after `steps` steps.

    Args:
        scores: of steps + 1 states, each column in one unit; not finite ones are refused where advantages are made.
        final: the reward of the clean sample, which has the share 1 - mix.
        mix: c, in [0, 1].

    Raises:
        ValueError: for fewer than two states, a share outside of [0, 1], or one below 1 without `final`.
    """
    if scores.shape[1] < 2:
        raise DinaError(f"step_gains: scores of {scores.shape[1]} states; accepted: at least two, before and after")
    if not 0 <= mix <= 1:
        raise DinaError(f"step_gains: mix is {mix}; accepted: a number in [0, 1]")
    gains = scores.diff(dim=1)
    if mix == 1:
        return gains
    if final is None:
        raise DinaError(f"step_gains: mix is {mix} and there is no final reward; accepted: mix = 1 without one")
    return mix * gains + (1 - mix) * final[:, None]


def step_advantages(
    gains: Float[Tensor, "samples steps"],
    prompt_ids: Int64[Tensor, " samples"],
    scope: GainScope = "step",
    clip: float = 5.0,
) -> Advantages:
    """Advantages of each step's gains beside those of the images of the same prompt at the same step.

    Centred within the group at each step. "step" divides by the group's deviation there, which makes steps whose gains
    are a thousandth as large count as much as all others; "trajectory" by the group's deviation over all steps. Samples
    of a group without spread at a step are 0 and masked there; `zero_spread_groups` have none at any step.

    Raises:
        ValueError: for a gain that is not finite, a group of one, another scope, or a clip that is not above 0.
    """
    if scope not in ("step", "trajectory"):
        raise DinaError(f"scope is {scope!r}; accepted: 'step' and 'trajectory'")
    columns = [grpo_advantages(column, prompt_ids, "group", clip) for column in gains.unbind(1)]
    masked = torch.stack([each.masked for each in columns], dim=1)
    values = torch.stack([each.values for each in columns], dim=1)
    if scope == "trajectory":
        values = _over_trajectories(gains, prompt_ids, clip).masked_fill(masked, 0.0)
    group, counts = groups_of(prompt_ids, len(gains))
    flat = group_means(masked.all(1).double(), group, counts) == 1
    return Advantages(values, masked, int(flat.sum()), len(counts))


def _over_trajectories(
    gains: Float[Tensor, "samples steps"], prompt_ids: Int64[Tensor, " samples"], clip: float
) -> Float[Tensor, "samples steps"]:
    """Centred gains by the deviation of all of a prompt's: as if its steps were so many more images."""
    group, counts = groups_of(prompt_ids, len(gains))
    means = torch.stack([group_means(column.double(), group, counts)[group] for column in gains.unbind(1)], dim=1)
    centred, steps = gains.double() - means, gains.shape[1]
    found = grpo_advantages(centred.flatten(), prompt_ids.repeat_interleave(steps), "group", clip)
    return found.values.unflatten(0, gains.shape)
