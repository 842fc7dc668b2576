r"""Centred reward distillation (arXiv 2603.14128): what the policy says of two images' rewards becomes what is given.

    R_i = e_i(v_old) - e_i(v_theta)                       the policy's log-ratio to `old`, read from matching errors
    L_i = (beta (R_i - mean R) - (r_i - mean r))^2        or the cross-entropy of beta (R_i - mean R)
                                                          against sigmoid(r_i - mean r)

Means are those of the prompt, which takes out what the reward's optimum has in common for it (its log Z). The loss is 0
where the gaps of beta R are the gaps of r: there, and not at infinity, the objective stops. Two images make it IPO.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdKind
from dina_lrm.alignment.algorithms.groups import finite, group_means, groups_of
from dina_lrm.typed import DinaError


def crd_loss(
    log_ratio: Float[Tensor, " samples"],
    optimality: Float[Tensor, " samples"],
    prompt_ids: Int64[Tensor, " samples"],
    beta: float = 1.0,
    kind: CrdKind = "mse",
    temperature: float | None = None,
) -> Float[Tensor, " samples"]:
    """Loss of each sample, differentiable in `log_ratio`, the error under `old` less that under the policy.

    `optimality` is any finite number a sample, such as a win rate or its log-odds. With a `temperature` the mean of two
    losses: centred at means that weigh samples by softmax(r / temperature), and by softmax(-r / temperature). Means
    pass no gradient on.

    Raises:
        ValueError: for a group of one, an optimality that is not finite, a beta or temperature not above 0, or an
            unknown `kind`.
    """
    if not 0 < beta < math.inf:
        raise DinaError(f"crd_loss: beta {beta}; accepted: a finite number above 0")
    if kind not in ("mse", "bce"):
        raise DinaError(f"crd_loss: kind is {kind!r}; accepted: 'mse' and 'bce'")
    group, counts = groups_of(prompt_ids, len(log_ratio))
    wanted = finite("optimality", optimality).to(log_ratio.dtype)
    if temperature is None:
        return _loss(log_ratio, wanted, torch.ones_like(wanted), group, counts, beta, kind)
    if not 0 < temperature < math.inf:
        raise DinaError(f"crd_loss: temperature {temperature}; accepted: a finite number above 0, or None")
    both = [_softmax(sign * wanted / temperature, group, counts) for sign in (1, -1)]
    return torch.stack([_loss(log_ratio, wanted, weight, group, counts, beta, kind) for weight in both]).mean(0)


def centred_loss(
    log_ratio: Float[Tensor, " samples"],
    mean: Float[Tensor, " samples"],
    target: Float[Tensor, " samples"],
    beta: float = 1.0,
    kind: CrdKind = "mse",
) -> Float[Tensor, " samples"]:
    """The loss of each sample from the mean log-ratio of its group and its centred target, which pass no gradient."""
    said = beta * (log_ratio - mean.detach())
    if kind == "mse":
        return (said - target).square()
    return binary_cross_entropy_with_logits(said, target.sigmoid(), reduction="none")


def _loss(
    log_ratio: Tensor, wanted: Tensor, weight: Tensor, group: Tensor, counts: Tensor, beta: float, kind: CrdKind
) -> Float[Tensor, " samples"]:
    """`weight` has a mean of 1 in each group."""
    mean = group_means(weight * log_ratio.detach(), group, counts)[group]
    return centred_loss(log_ratio, mean, wanted - group_means(weight * wanted, group, counts)[group], beta, kind)


def _softmax(values: Tensor, group: Tensor, counts: Tensor) -> Float[Tensor, " samples"]:
    """The softmax within each group, times the group's size."""
    highest = values.new_full((len(counts),), -math.inf).scatter_reduce(0, group, values, "amax")
    powers = (values - highest[group]).exp()
    return powers / group_means(powers, group, counts)[group]
