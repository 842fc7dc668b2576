r"""The noise levels at which samples are learned from, several an image.

sampler        the levels that the sampler visits, but the clean end: each image takes them in an order of its own
logit-normal   t = sigmoid(n) with n ~ N(0, 1), one of each of as many strata, then shifted towards noise by the
model's own shift s:  t <- s t / (1 + (s - 1) t)
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.typed import DinaError


def visited_levels(
    levels: Float[Tensor, " levels"], images: int, count: int, rng: np.random.Generator
) -> Float[Tensor, "images count"]:
    """`count` of the levels that a sampler steps from for each image, none of them twice.

    Raises:
        ValueError: for more than there are.
    """
    steps = len(levels) - 1
    if not 1 <= count <= steps:
        raise DinaError(f"{count} noise levels an image; accepted: 1 to {steps}, the steps of the sampler")
    orders = rng.permuted(np.tile(np.arange(steps), (images, 1)), axis=1)
    return levels[torch.from_numpy(orders[:, :count].copy())].float()


def logit_normal_levels(
    shift: float, images: int, count: int, rng: np.random.Generator
) -> Float[Tensor, "images count"]:
    """`count` levels in (0, 1) for each image, one of each stratum of the distribution, in an order of its own.

    Raises:
        ValueError: for a shift that is not above 0.
    """
    strata = rng.permuted(np.tile(np.arange(count), (images, 1)), axis=1)
    quantiles = torch.from_numpy((strata + rng.random((images, count))) / count).clamp(1e-6, 1 - 1e-6)
    return shifted(torch.special.ndtri(quantiles).sigmoid(), shift).float()


def shifted(level: Float[Tensor, ...], shift: float) -> Float[Tensor, ...]:
    """`s t / (1 + (s - 1) t)`: towards noise for s above 1, both ends stay."""
    if not 0 < shift < float("inf"):
        raise DinaError(f"shift of noise levels: {shift}; accepted: a finite number above 0")
    return shift * level / (1 + (shift - 1) * level)
