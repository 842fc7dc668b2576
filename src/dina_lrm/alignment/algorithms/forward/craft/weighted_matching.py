"""Flow matching on samples of one's own, weighted by how much better they are than others of their prompt."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.groups import finite


def weighted_matching_loss(
    error: Float[Tensor, " samples"], advantage: Float[Tensor, " samples"]
) -> Float[Tensor, " samples"]:
    """`max(A, 0) e`: a matching error counts as much as the sample's advantage, and no sample repels.

    With advantages of 1 it is flow matching. ValueError for an advantage that is not finite.
    """
    return finite("advantage", advantage).clamp(min=0).to(error.dtype) * error
