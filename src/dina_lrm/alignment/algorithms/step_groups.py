"""All candidates of a denoising step as a group (Step-GRPO, arXiv 2605.25661): each counts by its score among them.

LPO's rollout draws and scores K candidates of the next state; instead of the best and the worst, all take part in the
clipped surrogate, with the advantage of each among the candidates of its own state.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.advantages import grpo_advantages
from dina_lrm.alignment.algorithms.policy_loss import PolicyLoss, clipped_policy_loss
from dina_lrm.alignment.algorithms.rollout import step_of_rows
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Latents
from dina_lrm.generators.kernels import DenoisingStep


@dataclass(frozen=True)
class StepGroups:
    """States of one step whose candidates the reward told apart, as they were drawn and judged."""

    x: Latents
    level: Float[Tensor, ""]
    next_level: Float[Tensor, ""]
    step: DenoisingStep
    """From which the candidates were drawn."""
    candidates: Float[Tensor, "candidates states channels height width"]
    advantages: Float[Tensor, "candidates states"]
    conditioning: Conditioning


def step_groups(
    x: Latents,
    level: Tensor,
    next_level: Tensor,
    step: DenoisingStep,
    candidates: Float[Tensor, "candidates states channels height width"],
    scores: Float[Tensor, "candidates states"],
    conditioning: Conditioning,
) -> StepGroups | None:
    """The groups of those states whose candidates have different scores; None where there is no such state.

    ValueError for a score that is not finite, and for fewer than two candidates.
    """
    count, states = scores.shape
    ids = torch.arange(states, device=scores.device).repeat(count)
    found = grpo_advantages(scores.flatten(), ids)
    kept = (~found.masked[:states]).nonzero().flatten().tolist()
    if not kept:
        return None
    advantages = found.values.unflatten(0, (count, states))[:, kept]
    return StepGroups(
        x[kept], level, next_level, step_of_rows(step, kept), candidates[:, kept], advantages, conditioning[kept]
    )


def group_loss(new: DenoisingStep, groups: StepGroups, clip: float) -> PolicyLoss:
    """The surrogate of every candidate, in their order (candidate after candidate of all states), from one pass."""
    ratios = torch.cat([new.log_ratio(groups.step, candidate) for candidate in groups.candidates])
    return clipped_policy_loss(ratios, groups.advantages.flatten(), clip)
