r"""Direct group preference optimisation (arXiv 2510.08425): DPO between the better and the worse part of a group.

    S = mean_i A_i (e_i(v_theta) - e_i(v_ref)),    sum A = 0
    L = -log sigmoid(-beta S)

with e the matching error of an image. Its gradient is that of `sigmoid(beta S) mean_i A_i e_i`, times beta: the weight
is 1/2 where policy and reference agree, and falls to 0 as the group is told apart. Whatever all errors of a prompt have
in common cancels, as the advantages add up to 0. Two images with A = (1, -1) are `dpo_loss` of the same beta.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import logsigmoid

from dina_lrm.alignment.algorithms.groups import complete_groups_of, finite, group_means
from dina_lrm.typed import DinaError

_BALANCED = 1e-3
"""How far advantages may be from adding up to 0, as a share of their size: float32 rounds."""


@dataclass(frozen=True)
class GroupLoss:
    """The loss of each group, and the weight of its errors in the gradient: 1/2 at the reference, in (0, 1)."""

    loss: Float[Tensor, " groups"]
    weight: Float[Tensor, " groups"]


def dgpo_loss(
    error: Float[Tensor, " samples"],
    reference_error: Float[Tensor, " samples"],
    advantage: Float[Tensor, " samples"],
    prompt_ids: Int64[Tensor, " samples"],
    beta: float = 100.0,
) -> GroupLoss:
    """Losses of groups, in the order of their ids; errors of a group are of one noise level and one draw of noise.

    Raises:
        ValueError: for groups that are not complete (of unequal sizes, of one image, or with advantages that do not add
            up to 0), for an advantage that is not finite, and for a beta that is not above 0.
    """
    if not 0 < beta < math.inf:
        raise DinaError(f"dgpo_loss: beta {beta}; accepted: a finite number above 0")
    group, counts = complete_groups_of(prompt_ids, len(error))
    given = finite("advantage", advantage).to(error.dtype)
    _check_balanced(given, group, counts, prompt_ids)
    logit = beta * group_means(given * (error - reference_error), group, counts)
    return GroupLoss(-logsigmoid(-logit), logit.detach().sigmoid())


def errors_within(
    error: Float[Tensor, " samples"],
    old_error: Float[Tensor, " samples"],
    advantage: Float[Tensor, " samples"],
    clip: float,
) -> Float[Tensor, " samples"]:
    """Errors without a gradient where a sample has gone far enough already (the published code's clip).

    That is where A > 0 and exp(e_old - e) > 1 + clip, or A < 0 and exp(e_old - e) < 1 - clip.
    """
    gone = (old_error - error.detach()).exp()
    enough = ((advantage > 0) & (gone > 1 + clip)) | ((advantage < 0) & (gone < 1 - clip))
    return error.where(~enough, error.detach())


def _check_balanced(advantage: Tensor, group: Tensor, counts: Tensor, prompt_ids: Tensor) -> None:
    mean, size = group_means(advantage, group, counts), group_means(advantage.abs(), group, counts)
    bad = (mean.abs() > _BALANCED * size).nonzero().flatten().tolist()
    if bad:
        prompt = prompt_ids[group == bad[0]][0].item()
        raise DinaError(
            f"dgpo_loss: the advantages of prompt {prompt} have a mean of {mean[bad[0]].item():.3g} ({len(bad)} such "
            "prompts); accepted: complete groups, whose advantages add up to 0"
        )
