r"""Group-relative advantages (GRPO, arXiv 2402.03300; Flow-GRPO, arXiv 2505.05470).

    A_i = clip((r_i - mean of the group) / (std + 1e-4), -c, c)

A group is the images of one prompt, known by its id: neither order nor place in the batch matters. std is that of the
group, or of the whole batch. Where all images of a group have one reward but for its last digit, nothing is to be
learned from it: its samples are masked, and counted. Means and deviations are of float64, so that rewards far from 0
keep the digits in which they differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.groups import finite, group_means, groups_of
from dina_lrm.typed import DinaError

Scope = Literal["group", "batch"]
Combination = Literal["sum", "normalised"]
SOFTENER = 1e-4
_NOTHING = 1e-12
"""A spread that is none, whatever the rewards."""


class ConstantRewardWarning(UserWarning):
    """The images of every group got one reward: there is no advantage to learn from."""


@dataclass(frozen=True)
class Advantages:
    """`values` are 0 where `masked`; of samples, or of each step of theirs."""

    values: Float[Tensor, "samples ..."]
    masked: Bool[Tensor, "samples ..."]
    """True for samples of groups without spread."""
    zero_spread_groups: int
    groups: int


def grpo_advantages(
    rewards: Float[Tensor, " samples"],
    prompt_ids: Int64[Tensor, " samples"],
    scope: Scope = "group",
    clip: float = 5.0,
) -> Advantages:
    """Advantages (float32) of rewards in any type; complete groups have to be here, from all processes.

    Raises:
        ValueError: for a reward that is not finite, for a group of one, or for an unknown `scope`.
    """
    if scope not in ("group", "batch"):
        raise DinaError(f"scope is {scope!r}; accepted: 'group' and 'batch'")
    if not clip > 0:
        raise DinaError(f"clip is {clip}; accepted: a number above 0")
    rounding = torch.finfo(rewards.dtype).eps / 2 if rewards.is_floating_point() else 0.0
    rewards = finite("rewards", rewards)
    group, counts = groups_of(prompt_ids, len(rewards))
    centred = rewards - group_means(rewards, group, counts)[group]
    spread = (group_means(centred.square(), group, counts)).sqrt()
    size = torch.zeros_like(spread).scatter_reduce(0, group, rewards.abs(), "amax")
    flat = spread <= (rounding * size).clamp(min=_NOTHING)
    scale = spread[group] if scope == "group" else rewards.std(correction=0)
    values = (centred / (scale + SOFTENER)).clamp(-clip, clip)
    masked = flat[group]
    return Advantages(values.masked_fill(masked, 0.0).float(), masked, int(flat.sum()), len(counts))


def warn_of_flat_groups(step: int, flat: int, groups: int) -> None:
    """Warn where no group of update `step` (from 0) has images that the reward told apart."""
    if flat == groups:
        warnings.warn(
            f"update {step + 1}: the reward told no images of a prompt apart, in any of {flat} groups: nothing is "
            "learned from it",
            ConstantRewardWarning,
            stacklevel=3,
        )


def combined_rewards(
    rewards: Mapping[str, Float[Tensor, " samples"]],
    weights: Mapping[str, float],
    prompt_ids: Int64[Tensor, " samples"],
    how: Combination = "sum",
) -> Float[Tensor, " samples"]:
    """Several rewards as one: their weighted sum, or each first normalised within its group (mean 0, std 1).

    Summed in float64; the result is float32, or float64 where one of them is.

    Raises:
        ValueError: when names differ, for a reward that is not finite, for a group of one (normalised).
    """
    if set(rewards) != set(weights) or not rewards:
        raise DinaError(f"rewards {sorted(rewards)} and weights {sorted(weights)}; accepted: the same names")
    if how not in ("sum", "normalised"):
        raise DinaError(f"how is {how!r}; accepted: 'sum' and 'normalised'")
    parts = []
    for name, given in rewards.items():
        values = finite(name, given)
        if how == "normalised":
            values = grpo_advantages(given, prompt_ids, clip=float("inf")).values.double()
        parts.append(weights[name] * values)
    wide = any(given.dtype == torch.float64 for given in rewards.values())
    return torch.stack(parts).sum(dim=0).to(torch.float64 if wide else torch.float32)
