r"""How many bits a vote is expected to tell (Houlsby et al., arXiv 1112.5745, for a probit answer).

A margin is d ~ N(m, v), as the model knows it; a vote for a has probability Phi(d / s), s the noise of the annotator:

    EIG = h(Phi(m / sqrt(s^2 + v))) - E_d[h(Phi(d / s))],   h the binary entropy in bits
    E_d[h(Phi(d / s))] ~ C / sqrt(u + C^2) exp(-(m / s)^2 / (2 (u + C^2))),   u = v / s^2,  C = sqrt(pi ln 2 / 2)

The first term is how open the answer is, the second how open it would stay if the margin were known.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from jaxtyping import Float
from scipy.special import entr, log_ndtr, ndtr

from dina_lrm.typed import require

_C2: Final = math.pi * math.log(2) / 2


def expected_information(
    margin: Float[np.ndarray, "*shape"], variance: Float[np.ndarray, "*shape"], noise: float
) -> Float[np.ndarray, "*shape"]:
    """Bits that one vote is expected to tell of margins N(margin, variance), at least 0; within 0.0027 of the integral.

    `noise` is s > 0, the standard deviation of an annotator's judgement of two pictures. NaN where a margin is NaN.
    Raises DinaError for a negative variance, or a noise that is none.
    """
    require(noise > 0 and math.isfinite(noise), "noise", noise, "a finite number above 0")
    require(not bool((variance < 0).any()), "variance", float(np.min(variance, initial=0.0)), "at least 0")
    u = variance / noise**2
    open_now = _entropy(ndtr(margin / np.sqrt(noise**2 + variance)))
    stays = np.sqrt(_C2 / (u + _C2)) * np.exp(-np.square(margin / noise) / (2 * (u + _C2)))
    return np.maximum(open_now - stays, 0.0)


def curvature(margin: Float[np.ndarray, "*shape"], noise: float) -> Float[np.ndarray, "*shape"]:
    """How much a vote on a margin tells of it: g = phi(z)^2 / (Phi(z) Phi(-z) s^2), z = m / s; the Fisher information.

    A vote makes of the variance v of the margin v - v^2 g / (1 + g v).
    """
    z = margin / noise
    return np.exp(-np.square(z) - math.log(2 * math.pi) - log_ndtr(z) - log_ndtr(-z)) / noise**2


def _entropy(share: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Binary entropy in bits."""
    return (entr(share) + entr(1 - share)) / math.log(2)
