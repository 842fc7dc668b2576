"""Two judges on the same pairs, and whether one is ahead beyond chance.

Accuracies of two judges on the same pairs share most of their noise: only the pairs on which exactly one is right say
anything. McNemar's exact test counts those; the bootstrap of the difference also knows that pairs of a prompt belong
together, and is the one to quote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import bdtr

from dina_lrm.evaluation.accuracy import convention_named, pair_credits
from dina_lrm.evaluation.bootstrap import mean_interval
from dina_lrm.evaluation.evaluate import JudgedSet, prompt_ids
from dina_lrm.evaluation.interval import Interval
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.typed import DinaError, to_plain


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of the first judge minus that of the second, its 95 % interval, and McNemar's p-value.

    `pairs` are those that both judges scored and the convention counts; `only_first` and `only_second` are right with
    one judge only.
    """

    difference: float
    low: float | None
    high: float | None
    """None where more prompts are needed for an interval."""
    pairs: int
    only_first: int
    only_second: int
    p_value: float

    @property
    def interval(self) -> Interval:
        """The difference with its interval, over the pairs that were counted."""
        return Interval(self.difference, self.low, self.high, self.pairs)

    @property
    def decided(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval.beyond() != 0


def paired_difference(
    first: Float[np.ndarray, " pairs"],
    second: Float[np.ndarray, " pairs"],
    preference: Float[np.ndarray, " labels"],
    prompts: Int[np.ndarray, " pairs"] | None = None,
    convention: str = "micro_strict",
    resamples: int = 1000,
    seed: int = 0,
) -> PairedDifference:
    """Compare two judges by their margins on the same pairs, both read without a tie threshold.

    Raises ValueError for different numbers of pairs, or when no pair can be counted.
    """
    if first.shape != second.shape or first.shape != preference.shape:
        raise DinaError(
            f"margins {first.shape} and {second.shape}, preference {preference.shape}: one length is needed"
        )
    rule = convention_named(convention)
    credits = [pair_credits(margins, preference, rule) for margins in (first, second)]
    gap = credits[0] - credits[1]
    counted = ~np.isnan(gap)
    if not counted.any():
        raise DinaError(f"none of {gap.size} pairs is counted for both judges")
    low, high = mean_interval(gap, prompts, resamples=resamples, seed=seed) or (None, None)
    ahead, behind = int((gap[counted] > 0).sum()), int((gap[counted] < 0).sum())
    chance = sign_test(ahead, behind)
    return PairedDifference(float(np.nanmean(gap)), low, high, int(counted.sum()), ahead, behind, chance)


def sign_test(ahead: int, behind: int) -> float:
    """Chance that a fair coin is as uneven as `ahead` to `behind`, on either side: the exact binomial test, in [0, 1].

    Twice the smaller tail, for at one half the binomial distribution is symmetric; 1 for equal counts.
    """
    return 1.0 if ahead == behind else min(1.0, 2 * float(bdtr(min(ahead, behind), ahead + behind, 0.5)))


@dataclass(frozen=True)
class JudgeDifference:
    """The accuracy of `model` minus that of `against` on a set, both at their reference reading."""

    model: str
    against: str
    set: str
    found: PairedDifference

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def judge_differences(
    judged: Mapping[str, Mapping[str, JudgedSet]],
    sets: Mapping[str, EvaluationSet],
    convention: str = "micro_strict",
    seed: int = 0,
) -> list[JudgeDifference]:
    """Every later judge against the first, on every set that both judged; sets of faults alone are left out."""
    names = list(judged)
    found = []
    for name in names[1:]:
        for title, item in sets.items():
            both = [judged[names[0]].get(title), judged[name].get(title)]
            if item.diagnostic_only or both[0] is None or both[1] is None:
                continue
            preference = item.data.preference.double().numpy()
            compared = paired_difference(
                both[1].margins, both[0].margins, preference, prompt_ids(item.data), convention, seed=seed
            )
            found.append(JudgeDifference(name, names[0], title, compared))
    return found
