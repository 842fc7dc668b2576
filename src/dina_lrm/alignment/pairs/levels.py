"""The noise levels at which given pairs are learned from: one a pair, drawn as the generator itself was trained."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.dpo_settings import ErrorWeighting
from dina_lrm.alignment.algorithms.forward.levels import shifted
from dina_lrm.alignment.pairs.losses import LEAST_ELBO_LEVEL
from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.generators.generator import Generator

_ENDS = (0.01, 0.99)


def pair_levels(
    generator: Generator, uniform: Float[np.ndarray, " n"], space: ErrorWeighting = "velocity"
) -> Float[Tensor, " n"]:
    """Noise levels of numbers that are uniform in [0, 1): rising in them, so that even numbers give even strata.

    Of a flow they are logit-normal, shifted towards noise as its own sampler's are, t <- s t / (1 + (s - 1) t); of any
    other process uniform, as its timesteps were in training. All lie in [0.01, 0.99], for "elbo" above 0.02.
    """
    told = torch.from_numpy(np.asarray(uniform, dtype=np.float64))
    if isinstance(generator.process, RectifiedFlow):
        told = shifted(torch.special.ndtri(told).sigmoid(), generator.shift)
    least = LEAST_ELBO_LEVEL if space == "elbo" else _ENDS[0]
    return told.clamp(least, _ENDS[1]).float()
