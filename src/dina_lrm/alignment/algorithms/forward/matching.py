r"""The error of flow matching at a noised sample, with the weights that objectives give it.

    e       = mean (v - v*)^2                         linear in what it pulls: the plain error
    none      e
    level     s e
    square    s^2 e
    huber     s sqrt(e)
    ghuber    s (e^p - c^p) / p,  c = 1e-10           p = 1/4 in AWM's published runs

with s the noise's share of the state, its noise level for rectified flow (AWM, arXiv 2509.25050). Beside them

    adaptive  s^2 e / max(sg s mean |v - v*|, 1e-5)

the error of the clean prediction, divided by its own mean absolute error (the code of DiffusionNFT, arXiv 2509.16117,
and of CRD, arXiv 2603.14128): it grows with the first power of what is wrong, and no sample outweighs the others.
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.forward.awm_settings import MatchingWeighting
from dina_lrm.generators.generator import Latents
from dina_lrm.typed import DinaError

_NOTHING: Final = 1e-10
"""Errors below it count as it: roots have no gradient at 0."""
_SMALLEST: Final = 1e-5
"""Sizes below it count as it: what is not wrong divides by nothing."""


def matching_error(
    velocity: Latents,
    target: Latents,
    level: Float[Tensor, " samples"],
    weighting: MatchingWeighting = "none",
    power: float = 0.25,
) -> Float[Tensor, " samples"]:
    """The weighted error of each sample, in float32 at least; `level` is the noise's share of each state, in [0, 1].

    Raises:
        ValueError: for an unknown weighting, or a power that is not in (0, 1].
    """
    if not 0 < power <= 1:
        raise DinaError(f"matching_error: power {power}; accepted: a number in (0, 1]")
    error = per_sample((wide(velocity) - wide(target)).square())
    share = level.to(error)
    if weighting == "none":
        return error
    if weighting == "level":
        return share * error
    if weighting == "square":
        return share.square() * error
    kept = error.clamp(min=_NOTHING)
    if weighting == "huber":
        return share * kept.sqrt()
    if weighting == "ghuber":
        return share * (kept**power - _NOTHING**power) / power
    raise DinaError(f"weighting is {weighting!r}; accepted: 'none', 'level', 'square', 'huber' and 'ghuber'")


def adaptive_error(residual: Latents, share: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
    """The `adaptive` error of each sample, whose divisor passes no gradient on.

    `residual` is v - v*, in float32 at least, and `share` the noise's share of each state.
    """
    squared = per_sample(residual.square())
    share = share.to(squared)
    size = share * per_sample(residual.detach().abs())
    return share.square() * squared / size.clamp(min=_SMALLEST)


def wide(values: Tensor) -> Tensor:
    """The same values in float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def per_sample(values: Tensor) -> Float[Tensor, " samples"]:
    """The mean over all axes but the first."""
    return values.flatten(1).mean(1)
