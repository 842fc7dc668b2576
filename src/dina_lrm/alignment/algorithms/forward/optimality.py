r"""What each sample is worth beside the others of its prompt.

    A = clip((R - mean of the group) / std, -c, c) / c,      r = (A + 1) / 2

A in [-1, 1] is the advantage, r in [0, 1] the optimality of DiffusionNFT's code, where std is that of all rewards: with
c = 5 most |A| are about 0.2. Adding a constant to the rewards of a group changes nothing.

With win rates r is the image's win rate itself: no deviation, no bound, and A adds up to 0 in every group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.advantages import Scope, combined_rewards, grpo_advantages
from dina_lrm.alignment.algorithms.forward.settings import ForwardSettings
from dina_lrm.alignment.algorithms.win_rate import Preferred, combined_win_rates
from dina_lrm.sampling.objective import ObjectiveScores


@dataclass(frozen=True)
class Judged:
    """The advantage of each sample, in [-1, 1], and how it came about."""

    advantage: Float[Tensor, " samples"]
    cut: float
    """Share of samples whose advantage was cut to the bound."""
    flat_groups: int
    """Groups whose images all got one reward, and have the advantage 0."""


def judged(
    scores: ObjectiveScores,
    weights: Mapping[str, float],
    prompt_ids: Int64[Tensor, " samples"],
    settings: ForwardSettings,
    likelihoods: Mapping[str, Preferred],
) -> Judged:
    """Advantages of all samples of a rollout; `likelihoods` of the rewards are read for win rates alone.

    Raises ValueError as `grpo_advantages`, `combined_rewards` and `combined_win_rates` do.
    """
    rewards = scores.total
    if settings.transform == "win-rate":
        rates = combined_win_rates(scores.parts, weights, prompt_ids, likelihoods)
        return Judged(2 * rates - 1, 0.0, grpo_advantages(rates, prompt_ids).zero_spread_groups)
    if settings.combination == "normalised":
        rewards = combined_rewards(scores.parts, weights, prompt_ids, "normalised")
    clip = settings.advantage_clip
    found = grpo_advantages(rewards, prompt_ids, settings.scope, clip)
    cut = (found.values.abs() >= clip).float().mean().item()
    return Judged(found.values / clip, cut, found.zero_spread_groups)


def optimality_of(
    rewards: Float[Tensor, " samples"],
    prompt_ids: Int64[Tensor, " samples"],
    scale: Scope = "batch",
    clip: float = 5.0,
) -> Float[Tensor, " samples"]:
    """How good each sample is, in [0, 1], by the deviations `scale` of its group or of the batch; 1/2 is the mean.

    Raises:
        ValueError: for a reward that is not finite, a group of one, and an unknown `scale`.
    """
    return (grpo_advantages(rewards, prompt_ids, scale, clip).values / clip + 1) / 2
