r"""Calibration: of the pairs given a win probability of 80 %, 80 % should be right.

Which image of a pair is called the first is a coin toss, so nothing here may depend on it: each pair is folded onto the
side the model prefers, with confidence $c = \max(p, 1 - p) \in [1/2, 1]$ and outcome $o = y$ or $1 - y$. The target $y$
is a label (votes and ties are fractions) or, on the synthetic world, the true probability.

- ECE $= \sum_b \frac{n_b}{n} |\bar o_b - \bar c_b|$ over equally wide bins of c. It is biased upwards: at 2,000 pairs a
  perfect model shows about 0.02. `ece_floor` is that value, found by drawing the labels from the model itself.
- Brier score $\overline{(p - y)^2}$ and log score $-\overline{y \ln p + (1 - y) \ln(1 - p)}$: proper, lower is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from dina_lrm.evaluation.interval import Interval
from dina_lrm.preference.reliability import (
    ReliabilityBin,
    bin_index,
    error_of_a_perfect_model,
    expected_error,
    folded,
    reliability_bins,
)
from dina_lrm.typed import DinaError

_SMALLEST_PROBABILITY: Final = 1e-12
"""Floor of p in the log score: one pair can cost at most 27.6 nats."""
_INTERVAL_DRAWS: Final = 400


@dataclass(frozen=True)
class Calibration:
    """Agreement of predicted probabilities with labels. Bins without pairs are left out.

    `ece_low` and `ece_high` are the 95 % interval of ECE, prompts drawn together.
    """

    pairs: int
    ece: float
    ece_low: float | None
    ece_high: float | None
    """None where more prompts are needed for an interval."""
    ece_floor: float
    brier: float
    log_score: float
    bins: tuple[ReliabilityBin, ...]

    @property
    def interval(self) -> Interval:
        """ECE with its interval."""
        return Interval(self.ece, self.ece_low, self.ece_high, self.pairs)


@dataclass(frozen=True)
class TruthDistance:
    """Distance of predicted from true probabilities: ECE without label noise, mean absolute error, and KL in nats.

    The outcome of a bin is the mean true probability of the side that the model prefers.
    """

    pairs: int
    ece: float
    mean_absolute: float
    kl: float
    bins: tuple[ReliabilityBin, ...] = ()


def calibration(
    probability: Float[np.ndarray, " pairs"],
    target: Float[np.ndarray, " pairs"],
    bins: int = 10,
    seed: int = 0,
    prompts: Int[np.ndarray, " pairs"] | None = None,
) -> Calibration:
    """Calibration of P(first preferred) against labels in [0, 1]; pairs with a NaN probability are left out.

    `prompts` are prompt ids: pairs of one prompt are resampled together for the interval of ECE.
    """
    p, y = _usable(probability, target)
    table = reliability_bins(p, y, bins)
    ece = expected_error(table)
    low, high = _error_interval(p, y, None if prompts is None else prompts[~np.isnan(probability)], ece, bins, seed)
    return Calibration(
        pairs=p.size,
        ece=ece,
        ece_low=low,
        ece_high=high,
        ece_floor=error_of_a_perfect_model(p, bins, seed),
        brier=float(np.mean((p - y) ** 2)),
        log_score=_cross_entropy(y, p),
        bins=table,
    )


def truth_distance(
    probability: Float[np.ndarray, " pairs"], truth: Float[np.ndarray, " pairs"], bins: int = 10
) -> TruthDistance:
    """Distance of P(first preferred) from the true probability; pairs with a NaN probability are left out."""
    p, q = _usable(probability, truth)
    table = reliability_bins(p, q, bins)
    return TruthDistance(
        pairs=p.size,
        ece=expected_error(table),
        mean_absolute=float(np.mean(np.abs(p - q))),
        kl=_cross_entropy(q, p) - _cross_entropy(q, q),
        bins=table,
    )


def _usable(
    probability: Float[np.ndarray, " pairs"], target: Float[np.ndarray, " pairs"]
) -> tuple[Float[np.ndarray, " usable"], Float[np.ndarray, " usable"]]:
    if probability.shape != target.shape:
        raise DinaError(f"probability {probability.shape} and target {target.shape} must have one length")
    keep = ~np.isnan(probability)
    p, y = probability[keep].astype(np.float64), target[keep].astype(np.float64)
    for name, values in (("probability", p), ("target", y)):
        if not ((values >= 0) & (values <= 1)).all():
            raise DinaError(f"{name} reaches from {values.min()} to {values.max()}; accepted: [0, 1]")
    if p.size == 0:
        raise DinaError(f"none of {probability.size} pairs has a probability")
    return p, y


def _error_interval(
    p: Float[np.ndarray, " pairs"],
    y: Float[np.ndarray, " pairs"],
    prompts: Int[np.ndarray, " pairs"] | None,
    ece: float,
    bins: int,
    seed: int,
) -> tuple[float, float] | tuple[None, None]:
    """Bootstrap interval, moved to ECE: resampled ECEs are biased upwards once more, as far as they lie above it."""
    confidence, outcome = folded(p, y)
    _, cluster = np.unique(np.arange(p.size) if prompts is None else prompts, return_inverse=True)
    clusters = int(cluster.max()) + 1
    if clusters < 2:
        return None, None
    gap = np.zeros((clusters, bins))
    np.add.at(gap, (cluster, bin_index(confidence, bins)), outcome - confidence)
    count = np.bincount(cluster, minlength=clusters).astype(np.float64)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=_INTERVAL_DRAWS).astype(np.float64)
    resampled = np.abs(drawn @ gap).sum(axis=1) / (drawn @ count)
    low, high = np.quantile(resampled - resampled.mean(), [0.025, 0.975])
    return max(0.0, ece + float(low)), ece + float(high)


def _cross_entropy(y: Float[np.ndarray, " pairs"], p: Float[np.ndarray, " pairs"]) -> float:
    p = np.clip(p, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))
