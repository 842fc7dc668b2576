r"""KL only where the reward is not to be trusted (GARDO, arXiv 2512.24138).

With w(R_i) the share of the batch that image i beats by a reward R, and R_n auxiliary rewards that nothing is optimised
for,

    U_i = w(R_i) - mean over n of w(R_n,i)         in [-1, 1]: how much better the reward finds it than its witnesses do

The images with the largest U are held near the base model, all others are free. Only ranks count, so a reward's scale
does not. The code published with the paper ranks 1 = best and so has the sign of U turned round; this is the paper's.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dina_lrm.alignment.algorithms.groups import finite
from dina_lrm.typed import DinaError


def proxy_uncertainty(
    proxy: Float[Tensor, " samples"], auxiliary: Float[Tensor, "rewards samples"]
) -> Float[Tensor, " samples"]:
    """U of each image, from the optimised reward and the auxiliary ones over the whole batch.

    Raises:
        ValueError: without an auxiliary reward, for fewer than two images, for scores that are not finite.
    """
    if auxiliary.ndim != 2 or not len(auxiliary) or auxiliary.shape[1] != len(proxy):
        raise DinaError(
            f"proxy_uncertainty: auxiliary rewards of shape {tuple(auxiliary.shape)} for {len(proxy)} images; "
            "accepted: one row a reward, at least one"
        )
    if len(proxy) < 2:
        raise DinaError(f"proxy_uncertainty: {len(proxy)} image; accepted: at least two, to be ranked")
    witnesses = torch.stack([_beaten(finite(f"auxiliary reward {n}", row)) for n, row in enumerate(auxiliary)])
    return (_beaten(finite("proxy", proxy)) - witnesses.mean(0)).float()


def gate(uncertainty: Float[Tensor, " samples"], share: float) -> Bool[Tensor, " samples"]:
    """Which images are held near the base: those with the largest U, as many as `share` of the batch, rounded up.

    Of images with equal U all are held or none. None with U <= 0 is, but with a share of 1 all are.

    Raises:
        ValueError: for a share outside of (0, 1].
    """
    if not 0 < share <= 1:
        raise DinaError(f"gate: share is {share}; accepted: a number in (0, 1]")
    if share == 1:
        return torch.ones_like(uncertainty, dtype=torch.bool)
    count = math.ceil(share * len(uncertainty) - 1e-9)
    least = uncertainty.sort(descending=True).values[count - 1]
    return (uncertainty >= least) & (uncertainty > 0)


def _beaten(scores: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
    """The share of the others whose score is below each."""
    return (scores[:, None] > scores[None, :]).double().sum(1) / (len(scores) - 1)
