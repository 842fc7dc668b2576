r"""P(win) within the group: how often an image would be preferred to the others of its prompt (Pref-GRPO, 2508.20751).

    P_ij = P(i preferred to j)              the reward model's own likelihood of the margin s_i - s_j
    w_i  = mean over j != i of P_ij

w lies in (0, 1), has a mean of 1/2 in every group, and needs neither a scale nor a clip: a group that the reward cannot
tell apart stays near 1/2 instead of being blown up, and an outlier counts at most 1. It is as good as the likelihood is
calibrated. Pref-GRPO asks a vision-language model for each pair; here nothing is asked, from scores that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.groups import finite, groups_of
from dina_lrm.typed import DinaError

Preferred = Callable[[Tensor], Tensor]
"""P(first preferred) from the margin of two scores, as the reward gives them."""


def group_win_rate(
    scores: Float[Tensor, " samples"], prompt_ids: Int64[Tensor, " samples"], preferred: Preferred
) -> Float[Tensor, " samples"]:
    """The win rate of each sample in its group, in [0, 1] (float32); G^2 margins a group, and no pass of a model.

    Raises:
        ValueError: for a score that is not finite, and for a group of one.
    """
    values = finite("scores", scores)
    group, counts = groups_of(prompt_ids, len(scores))
    rates = torch.empty_like(values)
    for number in range(len(counts)):
        rows = (group == number).nonzero().flatten()
        rates[rows] = _rates(values[rows], preferred)
    return rates.float()


def combined_win_rates(
    rewards: Mapping[str, Float[Tensor, " samples"]],
    weights: Mapping[str, float],
    prompt_ids: Int64[Tensor, " samples"],
    preferred: Mapping[str, Preferred],
) -> Float[Tensor, " samples"]:
    """The weighted mean of the win rates of several rewards, in [0, 1]; one that is to fall counts by its losses.

    It is not the win rate of their sum, whose likelihood nobody knows. ValueError as `group_win_rate`, when names
    differ, and where all weights are 0.
    """
    if not set(rewards) == set(weights) == set(preferred) or not rewards:
        raise DinaError(f"rewards {sorted(rewards)} and weights {sorted(weights)}; accepted: the same names")
    whole = sum(abs(weight) for weight in weights.values())
    if not whole:
        raise DinaError(f"win rates: all weights of {sorted(weights)} are 0; accepted: one that is not")
    parts = []
    for name, scores in rewards.items():
        rate = group_win_rate(scores, prompt_ids, preferred[name])
        parts.append(abs(weights[name]) / whole * (rate if weights[name] > 0 else 1 - rate))
    return torch.stack(parts).sum(0)


def _rates(scores: Float[Tensor, " group"], preferred: Preferred) -> Float[Tensor, " group"]:
    """Each pair is asked for once, and the other side has what is left: rates add up to half the pairs exactly."""
    first, second = torch.triu_indices(len(scores), len(scores), offset=1, device=scores.device)
    won = preferred(scores[first] - scores[second]).to(scores)
    total = torch.zeros_like(scores).index_add(0, first, won).index_add(0, second, 1 - won)
    return total / (len(scores) - 1)
