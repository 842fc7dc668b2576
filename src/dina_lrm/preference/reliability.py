r"""Reliability of win probabilities: of the pairs given 80 %, 80 % should be right.

Which image of a pair is called the first is a coin toss, so each pair is folded onto the side that is preferred, with
confidence $c = \max(p, 1 - p) \in [1/2, 1]$ and outcome $o = y$ or $1 - y$. The expected calibration error is

    ECE = sum over bins of n_b / n |mean o_b - mean c_b|

over equally wide bins of c. It is biased upwards: `error_of_a_perfect_model` is what it would be of labels that are
drawn from p itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from dina_lrm.typed import DinaError

_FLOOR_DRAWS: Final = 100


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs whose confidence lies in [low, high): mean confidence, mean outcome and the number of pairs."""

    low: float
    high: float
    pairs: int
    confidence: float
    outcome: float


def reliability_bins(
    probability: Float[np.ndarray, " pairs"], target: Float[np.ndarray, " pairs"], bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Folded reliability table over `bins` equally wide bins of confidence in [1/2, 1]; empty bins are left out."""
    confidence, outcome = folded(probability, target)
    index = bin_index(confidence, bins)
    count = np.bincount(index, minlength=bins)
    mean_confidence = np.bincount(index, weights=confidence, minlength=bins) / np.maximum(count, 1)
    mean_outcome = np.bincount(index, weights=outcome, minlength=bins) / np.maximum(count, 1)
    edges = np.linspace(0.5, 1.0, bins + 1)
    return tuple(
        ReliabilityBin(
            low=float(edges[b]),
            high=float(edges[b + 1]),
            pairs=int(count[b]),
            confidence=float(mean_confidence[b]),
            outcome=float(mean_outcome[b]),
        )
        for b in range(bins)
        if count[b]
    )


def folded(
    p: Float[np.ndarray, " pairs"], y: Float[np.ndarray, " pairs"]
) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Confidence and outcome of each pair, of P(first preferred) and a target in [0, 1]."""
    first = p >= 0.5
    return np.where(first, p, 1 - p), np.where(first, y, 1 - y)


def bin_index(confidence: Float[np.ndarray, " pairs"], bins: int) -> Int[np.ndarray, " pairs"]:
    """The bin of each confidence in [1/2, 1]. ValueError for fewer than one bin."""
    if bins < 1:
        raise DinaError(f"bins is {bins}; accepted: at least 1")
    return np.minimum(((confidence - 0.5) * 2 * bins).astype(np.int64), bins - 1)


def expected_error(table: Sequence[ReliabilityBin]) -> float:
    """ECE of a table of at least one bin."""
    total = sum(row.pairs for row in table)
    return sum(row.pairs * abs(row.outcome - row.confidence) for row in table) / total


def error_of_a_perfect_model(p: Float[np.ndarray, " pairs"], bins: int = 10, seed: int = 0) -> float:
    """Mean ECE over label sets drawn from p itself: binomial outcomes per bin, approximated at the bin's mean."""
    confidence, _ = folded(p, p)
    index = bin_index(confidence, bins)
    count = np.bincount(index, minlength=bins)
    filled = count > 0
    mean = np.bincount(index, weights=confidence, minlength=bins)[filled] / count[filled]
    drawn = np.random.default_rng(seed).binomial(count[filled], mean, size=(_FLOOR_DRAWS, int(filled.sum())))
    return float(np.mean(np.abs(drawn - count[filled] * mean).sum(axis=1) / count.sum()))
