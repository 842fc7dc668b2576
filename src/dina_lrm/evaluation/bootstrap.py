"""Intervals: the bootstrap, clustered where observations share a prompt, and Wilson's for small counts.

Pairs of one prompt are not independent: the same images and the same misreading of the prompt come back in each. The
resampled unit is therefore the prompt wherever prompt ids are known (a ratio estimator: sum of values / sum of counts).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri, stdtrit

from dina_lrm.evaluation.interval import Interval
from dina_lrm.typed import DinaError

FEW_PROMPTS: Final = 6
"""Fewer have Student's interval, not a bootstrap's."""
_CHUNK: Final = 4_000_000
"""Resampled indices held at once: 32 MB whatever the number of pairs."""


def mean_interval(
    values: Float[np.ndarray, " observations"],
    clusters: Int[np.ndarray, " observations"] | None = None,
    share: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The 95 % interval of a mean that everything here is told with; None where more prompts are needed for one.

    `clusters` are drawn together, or else observations by themselves. Few of them have Student's interval, more a
    bootstrap's; one alone has none, and few that are all alike have none either: an interval without width would claim
    what nobody knows. Of a `share` that is 0 or 1 everywhere it is Wilson's.
    """
    sums, counts = _totals(values, clusters)
    number = sums.size
    if number < 2:
        return None
    names = np.arange(values.size) if clusters is None else clusters
    few = number < FEW_PROMPTS
    low, high = student_interval(values, names) if few else bootstrap_interval(values, names, 0.95, resamples, seed)
    mean = float(sums.sum() / counts.sum())
    if share and mean in (0.0, 1.0):
        return wilson_interval(number * mean, number)
    if few and low == high:
        return None
    return (max(0.0, low), min(1.0, high)) if share else (low, high)


def interval_of_mean(
    values: Float[np.ndarray, " observations"],
    clusters: Int[np.ndarray, " observations"] | None = None,
    share: bool = False,
    seed: int = 0,
) -> Interval:
    """The mean of the values that are not NaN, with the interval of `mean_interval`; `n` counts them.

    `clusters` are drawn together. At least one value has to be counted.
    """
    counted = ~np.isnan(values)
    low, high = mean_interval(values, clusters, share, seed=seed) or (None, None)
    return Interval(float(np.nanmean(values)), low, high, int(counted.sum()), int((~counted).sum()))


def bootstrap_interval(
    values: Float[np.ndarray, " observations"],
    clusters: Int[np.ndarray, " observations"] | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Expanded percentile bootstrap interval of the mean of `values`; NaN = not counted.

    A plain percentile interval is too narrow for few clusters: its quantiles are moved outwards until it is as wide as
    Student's (Hesterberg, 2015, section 5.3). It cannot leave the values: one cluster gives an interval without width.

    `clusters` are ids (any integers) of observations that are drawn together. The order of clusters does not matter to
    the law of the interval, the seed fixes it to the bit.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise DinaError(f"confidence {confidence} must be in (0, 1) and resamples {resamples} at least 1")
    sums, counts = _totals(values, clusters)
    if sums.size == 0:
        raise DinaError(f"none of {values.size} values is counted: there is no mean to put an interval around")
    means = _resampled_means(sums, counts, resamples, np.random.default_rng(seed))
    tail = _expanded_tail(confidence, sums.size)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def student_interval(
    values: Float[np.ndarray, " observations"], clusters: Int[np.ndarray, " observations"], confidence: float = 0.95
) -> tuple[float, float]:
    """Student's interval of the mean, with clusters as what is drawn: for so few that resampling has little to draw.

    A bootstrap of two clusters excludes 0 whenever both have one sign, which by chance they have half of the time.
    ValueError for fewer than two clusters.
    """
    sums, counts = _totals(values, clusters)
    number = sums.size
    if number < 2:
        raise DinaError(f"{number} clusters have no spread; accepted: two or more")
    mean = float(sums.sum() / counts.sum())
    error = np.sqrt(number / (number - 1) * np.square(sums - mean * counts).sum()) / counts.sum()
    half = float(stdtrit(number - 1, (1 + confidence) / 2) * error)
    return mean - half, mean + half


def wilson_interval(successes: float | int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion: of honest width at 0 % and 100 %, where a bootstrap has none."""
    if trials < 1 or not 0 <= successes <= trials:
        raise DinaError(f"{successes} successes of {trials} trials; accepted: 0 <= successes <= trials, trials >= 1")
    z = float(ndtri((1 + confidence) / 2))
    p, n = successes / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return max(0.0, centre - half), min(1.0, centre + half)


def _expanded_tail(confidence: float, clusters: int) -> float:
    """Phi(-sqrt(n / (n - 1)) t_{n - 1}): the share of resampled means that is left out on each side."""
    if clusters < 2:
        return 0.0
    quantile = stdtrit(clusters - 1, (1 + confidence) / 2)
    return float(ndtr(-np.sqrt(clusters / (clusters - 1)) * quantile))


def _totals(
    values: Float[np.ndarray, " observations"], clusters: Int[np.ndarray, " observations"] | None
) -> tuple[Float[np.ndarray, " clusters"], Float[np.ndarray, " clusters"]]:
    """Sum and number of the counted values of each cluster that has any."""
    counted = ~np.isnan(values)
    if clusters is None:
        return values[counted].astype(np.float64), np.ones(int(counted.sum()))
    _, index = np.unique(clusters[counted], return_inverse=True)
    return np.bincount(index, weights=values[counted]), np.bincount(index).astype(np.float64)


def _resampled_means(
    sums: Float[np.ndarray, " clusters"],
    counts: Float[np.ndarray, " clusters"],
    resamples: int,
    generator: np.random.Generator,
) -> Float[np.ndarray, " resamples"]:
    n = sums.size
    rows = max(1, _CHUNK // n)
    means = []
    for start in range(0, resamples, rows):
        drawn = generator.integers(0, n, size=(min(rows, resamples - start), n))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)
