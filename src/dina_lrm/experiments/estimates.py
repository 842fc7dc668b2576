r"""Means over seeds with an interval, and what they say about a claim.

Two things vary: which pairs (or pictures) are in a test set, and which seed a model was trained with. With x_{si} what
seed s has for pair i, such as 1 where it ranks it right, and pairs of one prompt drawn together,

    var = var_prompts(mean_s x_{si}) + s^2 / n,      s^2 the variance of the seeds' accuracies, n their number

and the interval is t-distributed with Satterthwaite's degrees of freedom. A difference is the same with the differences
x_{si} - x'_{si}: whatever both models share cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from dina_lrm.evaluation.interval import Interval, renamed


def estimate(parts: Sequence[tuple[Float[np.ndarray, "seeds pairs"], int]]) -> Interval:
    """The mean over sets, each with how many of its columns are of one prompt, and over seeds, with its interval."""
    seeds = len(parts[0][0])
    by_seed = np.mean([x.mean(axis=1) for x, _ in parts], axis=0)
    prompts = sum(_prompt_variance(x.mean(axis=0), per_prompt) for x, per_prompt in parts) / len(parts) ** 2
    trained = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    value, variance = float(by_seed.mean()), prompts + trained
    freedom = math.inf if trained == 0 else variance**2 / (trained**2 / (seeds - 1))
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(variance)
    return Interval(value, value - half, value + half, seeds)


def over_seeds(found: Sequence[float]) -> Interval:
    """The mean of one number a seed, with the interval of seeds alone; one seed has none."""
    value, freedom = float(np.mean(found)), len(found) - 1
    if freedom == 0:
        return Interval(value, None, None, 1)
    half = float(stdtrit(freedom, 0.975) * np.std(found, ddof=1) / math.sqrt(len(found)))
    return Interval(value, value - half, value + half, len(found))


def verdict_of(found: Interval) -> str:
    """What a mean over seeds says about a claim; one seed says nothing, since seeds differ too."""
    if found.n < 2:
        return "one seed only"
    return {1: "holds", -1: "does not hold", 0: "not decided"}[found.beyond()]


def written(found: Interval, form: str, percent: bool = False) -> str:
    """A mean over seeds with its interval; what has none for being of one seed stands alone: prompts would not help."""
    return found.middle(form, percent) if found.low is None else found.text(form, percent)


def as_stored(found: Interval) -> dict[str, Any]:
    """A mean over seeds as the files of results have it."""
    stored: dict[str, Any] = renamed(asdict(found), {"n": "seeds", "missing": None})
    return stored


def _prompt_variance(x: Float[np.ndarray, " pairs"], per_prompt: int) -> float:
    """Variance of the mean of x when prompts, each with its pairs, are drawn."""
    prompt = np.arange(x.size) // per_prompt
    sums = np.bincount(prompt, weights=x - x.mean())
    clusters = sums.size
    return float((sums**2).sum()) / x.size**2 * clusters / max(clusters - 1, 1)
