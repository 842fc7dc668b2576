r"""Weights of steps by the noise that they add (TempFlow-GRPO, arXiv 2508.04324).

The gradient of a Gaussian step's log-probability with respect to its mean goes as 1 / s, with s = std sqrt(-dt) the
deviation of the whole step: steps of little noise would decide. A weight of s takes that out. GRPO-Guard's factor is
the same s, so both at once would count it twice.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.typed import DinaError


def noise_weights(stds: Float[Tensor, " steps"]) -> Float[Tensor, " steps"]:
    """`stds`, the deviations of whole steps (`DenoisingStep.std`), divided by their mean: weights of mean 1.

    Raises:
        ValueError: without a step, and for a deviation that is not above 0 and finite.
    """
    if not len(stds) or not bool(((stds > 0) & stds.isfinite()).all()):
        raise DinaError(f"noise_weights: deviations {stds.tolist()}; accepted: finite numbers above 0, at least one")
    # Exactly 1 where all are equal
    return torch.ones_like(stds) if bool((stds == stds[0]).all()) else stds / stds.mean()
