r"""Losses of given pairs and of judged pictures, on errors of a prediction: Diffusion-DPO, IPO and KTO.

    e     mean squared error of the velocity at a noised picture, times the weight of its level (`level_weight`)
    g     e_ref - e, what a picture has gained over the reference (the LoRA off)
    u     (g_a - g_b) / 2                    h = beta u

    dpo   -p log sigmoid(h) - (1 - p) log sigmoid(-h)     p = P(a preferred): a tie is 1/2 (arXiv 2311.12908, Eq. 14)
    ipo   p (h - 1/2)^2 + (1 - p) (h + 1/2)^2             its (u - 1/(2 tau))^2 at tau = beta, times beta^2: the
                                                          gradient then has the size of dpo's (arXiv 2310.12036)
    kto   w_y (1 - sigmoid(+-beta (g - z))), + for liked, z = max(0, mean g)      (arXiv 2404.04465)

An error that is not finite makes a loss that is not: the run around refuses its gradient.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from dina_lrm.alignment.algorithms.dpo_settings import ErrorWeighting
from dina_lrm.diffusion.process import ForwardProcess, RectifiedFlow
from dina_lrm.typed import DinaError

PairLoss = Literal["dpo", "ipo"]
LEAST_ELBO_LEVEL = 0.02
"""Below it the weight (1 - t) / t would let the cleanest states decide alone."""


def preference_loss(
    winner: Float[Tensor, " pairs"],
    loser: Float[Tensor, " pairs"],
    winner_reference: Float[Tensor, " pairs"],
    loser_reference: Float[Tensor, " pairs"],
    preference: Float[Tensor, " pairs"] | float = 1.0,
    beta: float = 2000.0,
    kind: PairLoss = "dpo",
) -> Float[Tensor, " pairs"]:
    """The loss of each pair from four errors; `preference` in [0, 1] says how sure it is that the winner won.

    ln 2 for "dpo" where model and reference agree. Swapping the pictures and 1 - `preference` change nothing. With
    "ipo" `beta` is its tau, and the minimum of a sure pair lies where u = 1 / (2 beta).

    Raises:
        ValueError: for a beta that is not above 0, and a preference outside [0, 1].
    """
    _check_beta("preference_loss", beta)
    told = torch.as_tensor(preference, dtype=winner.dtype, device=winner.device)
    if not bool(((told >= 0) & (told <= 1)).all()):
        raise DinaError(f"preference_loss: preference {preference}; accepted: P(winner preferred), in [0, 1]")
    inside = beta * implicit_margin(winner, loser, winner_reference, loser_reference)
    if kind == "ipo":
        return told * (inside - 0.5).square() + (1 - told) * (inside + 0.5).square()
    return -told * logsigmoid(inside) - (1 - told) * logsigmoid(-inside)


def implicit_margin(
    winner: Float[Tensor, " pairs"],
    loser: Float[Tensor, " pairs"],
    winner_reference: Float[Tensor, " pairs"],
    loser_reference: Float[Tensor, " pairs"],
) -> Float[Tensor, " pairs"]:
    """u, half of what the winner has gained over the reference beyond the loser; above 0 the model is on its side."""
    return -((winner - winner_reference) - (loser - loser_reference)) / 2


def kto_loss(
    error: Float[Tensor, " samples"],
    reference_error: Float[Tensor, " samples"],
    liked: Bool[Tensor, " samples"],
    beta: float,
    liked_weight: float = 1.0,
    disliked_weight: float = 1.0,
    baseline: float | None = None,
) -> Float[Tensor, " samples"]:
    """The loss of each judged picture, in [0, its weight]; no pairs are needed.

    `baseline` is z, the mean gain over the whole batch of all processes (`kto_baseline`); None: of these samples.
    ValueError for a beta that is not above 0.
    """
    _check_beta("kto_loss", beta)
    gain = reference_error - error
    z = kto_baseline(gain.detach().mean().item()) if baseline is None else baseline
    away = torch.where(liked, beta * (gain - z), -beta * (gain - z))
    weight = torch.where(liked, liked_weight, disliked_weight).to(error.dtype)
    return weight * torch.sigmoid(-away)


def kto_baseline(mean_gain: float) -> float:
    """KTO's z of the mean gain of a whole batch: an estimate of the KL to the reference, hence never below 0."""
    return max(0.0, mean_gain)


def level_weight(
    level: Float[Tensor, ...], space: ErrorWeighting, process: ForwardProcess | None = None
) -> Float[Tensor, ...]:
    """What the velocity's squared error is multiplied with at a noise level, to be the error in another space.

    velocity      1: as diffusers and others have it for flows
    noise         alpha^2 ((1 - t)^2 of a flow): the error of the noise, as Diffusion-DPO has it
    elbo          (1 - t) / t: the KL of the paths of the flow's own SDE; levels of 0.02 or more, of a flow alone

    Raises:
        ValueError: for "elbo" of another process or of a level below 0.02.
    """
    chosen = RectifiedFlow() if process is None else process
    if space == "velocity":
        return torch.ones_like(level)
    if space == "noise":
        return chosen.alpha(level).square()
    if not isinstance(chosen, RectifiedFlow):
        raise DinaError(f"dpo.weighting: elbo for a {type(chosen).__name__}; accepted: velocity, noise, or a flow")
    if bool((level < LEAST_ELBO_LEVEL - 1e-6).any()):
        raise DinaError(f"dpo.weighting: elbo at level {level.min():.3g}; accepted: levels of at least 0.02")
    return (1 - level) / level


def _check_beta(where: str, beta: float) -> None:
    if not 0 < beta < math.inf:
        raise DinaError(f"{where}: beta {beta}; accepted: a finite number above 0")
