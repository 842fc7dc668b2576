r"""Pairwise accuracy under a named convention.

A pair has a label $l = \operatorname{sign}(p - 1/2)$, where $p$ is P(first preferred), and a verdict $v$: the sign of
the margin $m = r_1 - r_2$ where $|m| > \tau$, and 0 (a predicted tie) elsewhere. A convention is a table of credits for
the four cases that are not plainly right or wrong:

=================  ==========================  ==========================
                   $v \ne 0$                   $v = 0$
=================  ==========================  ==========================
$l \ne 0$          1 if $v = l$, else 0        `score_tie`
$l = 0$            `label_tie`                 `both_tie`
=================  ==========================  ==========================

A credit of None takes the pair out of the denominator. Every result carries the name of its convention and the number
of pairs, ties and missing scores: without them an accuracy cannot be compared with another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from dina_lrm.evaluation.bootstrap import mean_interval
from dina_lrm.evaluation.interval import Interval
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Convention:
    """One way of counting: a row of the table of conventions."""

    name: str
    label_tie: float | None
    both_tie: float | None
    score_tie: float
    per_prompt: bool = False
    threshold: Literal["exact", "given", "fitted"] = "exact"
    used_by: str = ""


CONVENTIONS: dict[str, Convention] = {
    row.name: row
    for row in (
        Convention("micro_strict", None, None, 0.0, used_by="ImageReward, HPSv3"),
        Convention("micro_tie_wrong", 0.0, 0.0, 0.0, used_by="the code released with the DiNa-LRM paper"),
        Convention("macro_inversion", 1.0, 1.0, 1.0, per_prompt=True, used_by="HPSv2, MPS"),
        Convention("pick_threshold", 0.5, 1.0, 0.5, threshold="given", used_by="PickScore"),
        Convention("tie_calibrated", 0.0, 1.0, 0.0, threshold="fitted", used_by="VideoAlign (arXiv 2305.14324)"),
        # Equal in number to micro_tie_wrong; a row of its own because published tables call it by this name.
        Convention("acc_with_ties", 0.0, 0.0, 0.0, used_by="UnifiedReward"),
    )
}


@dataclass(frozen=True)
class PairwiseAccuracy:
    """An accuracy that can be compared: its convention, interval and counts. `counted` is the denominator."""

    convention: str
    accuracy: float
    low: float | None
    high: float | None
    """None where more prompts are needed for an interval."""
    pairs: int
    counted: int
    label_ties: int
    score_ties: int
    missing: int
    prompts: int | None = None
    threshold: float = 0.0

    @property
    def interval(self) -> Interval:
        """The accuracy with its interval, over the pairs that were counted."""
        return Interval(self.accuracy, self.low, self.high, self.counted)


def convention_named(name: str) -> Convention:
    """The convention of that name. Raises ValueError naming the accepted ones."""
    if name not in CONVENTIONS:
        raise DinaError(f"convention is {name!r}; accepted: {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def labels(preference: Float[np.ndarray, " pairs"]) -> Int[np.ndarray, " pairs"]:
    """1 where the first image is preferred, -1 the second, 0 a tie; `preference` is P(first preferred) in [0, 1]."""
    bad = ~((preference >= 0) & (preference <= 1))
    if bad.any():
        raise DinaError(f"preference[{int(bad.argmax())}] is {preference[bad.argmax()]}; accepted: [0, 1]")
    return np.sign(preference - 0.5).astype(np.int64)


def pair_credits(
    margins: Float[np.ndarray, " pairs"],
    preference: Float[np.ndarray, " pairs"],
    convention: Convention,
    threshold: float = 0.0,
) -> Float[np.ndarray, " pairs"]:
    """Credit in [0, 1] of each pair; NaN where it is not counted (a dropped tie, or a margin that is not finite)."""
    label = labels(preference)
    strict, tied = _credits_by_verdict(margins, label, convention)
    credit = np.where(np.abs(margins) > threshold, strict, tied)
    return np.where(np.isfinite(margins), credit, np.nan)


def fitted_threshold(
    margins: Float[np.ndarray, " pairs"], preference: Float[np.ndarray, " pairs"], convention: Convention
) -> float:
    r"""The tie threshold $\tau$ on |margin| with the highest mean credit; the smallest of equals (arXiv 2305.14324)."""
    usable = np.isfinite(margins)
    margins, label = margins[usable], labels(preference)[usable]
    order = np.argsort(np.abs(margins), kind="stable")
    size = np.abs(margins)[order]
    strict, tied = _credits_by_verdict(margins[order], label[order], convention)
    # gain[k] is the credit won by calling the k pairs of smallest margin ties.
    gain = np.concatenate([[0.0], np.cumsum(np.nan_to_num(tied) - np.nan_to_num(strict))])
    threshold = np.concatenate([[0.0], size])
    # Pairs of equal margin become ties together, so only the last of a run is a possible cut.
    possible = np.append(threshold[1:] > threshold[:-1], True)
    gain = np.where(possible, gain, -np.inf)
    return float(threshold[int(np.argmax(gain))])


def pairwise_accuracy(
    margins: Float[np.ndarray, " pairs"],
    preference: Float[np.ndarray, " labels"],
    prompts: Int[np.ndarray, " pairs"] | None = None,
    convention: str = "micro_strict",
    threshold: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> PairwiseAccuracy:
    """Accuracy of `margins` (score of the first image minus the second) with its 95 % bootstrap interval.

    `prompts` are prompt ids: pairs of one prompt are resampled together. A margin that is not finite is a missing
    score. `threshold` is that of predicted ties, tuned on other data, for the conventions that take one.
    Raises ValueError when no pair can be counted.
    """
    rule = convention_named(convention)
    if margins.shape != preference.shape or (prompts is not None and prompts.shape != margins.shape):
        raise DinaError(
            f"margins {margins.shape}, preference {preference.shape} and prompts "
            f"{None if prompts is None else prompts.shape} must have one length"
        )
    tau = _threshold(margins, preference, rule, threshold)
    credit = pair_credits(margins, preference, rule, tau)
    finite = np.isfinite(margins)
    label_ties, missing = int((labels(preference) == 0).sum()), int((~finite).sum())
    counted = ~np.isnan(credit)
    if not counted.any():
        raise DinaError(f"no pair can be counted: {margins.size} pairs, {label_ties} ties, {missing} missing scores")
    if rule.per_prompt:
        if prompts is None:
            raise DinaError(f"convention {convention!r} averages over prompts and needs prompt ids")
        values, clusters = _means(credit[counted], prompts[counted]), None
    else:
        values, clusters = credit, prompts
    low, high = mean_interval(values, clusters, share=True, resamples=resamples, seed=seed) or (None, None)
    return PairwiseAccuracy(
        convention=convention,
        accuracy=float(np.nanmean(values)),
        low=low,
        high=high,
        pairs=int(margins.size),
        counted=int(counted.sum()),
        label_ties=label_ties,
        score_ties=int((finite & (np.abs(margins) <= tau)).sum()),
        missing=missing,
        prompts=None if prompts is None else int(np.unique(prompts).size),
        threshold=tau,
    )


def _credits_by_verdict(
    margins: Float[np.ndarray, " pairs"], label: Int[np.ndarray, " pairs"], convention: Convention
) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Credit of each pair if its verdict is the sign of its margin, and if its verdict is a tie."""
    right = (np.sign(margins) == label).astype(np.float64)
    strict = np.where(label == 0, _number(convention.label_tie), right)
    tied = np.where(label == 0, _number(convention.both_tie), convention.score_tie)
    return strict, tied


def _number(credit: float | None) -> float:
    return np.nan if credit is None else credit


def _threshold(
    margins: Float[np.ndarray, " pairs"],
    preference: Float[np.ndarray, " pairs"],
    rule: Convention,
    threshold: float | None,
) -> float:
    if rule.threshold == "fitted":
        return fitted_threshold(margins, preference, rule)
    if rule.threshold == "given":
        if threshold is None:
            raise DinaError(f"convention {rule.name!r} needs a threshold tuned on a validation split")
        return float(threshold)
    if threshold is not None:
        raise DinaError(f"convention {rule.name!r} takes no threshold; {threshold} was given")
    return 0.0


def _means(values: Float[np.ndarray, " counted"], groups: Int[np.ndarray, " counted"]) -> Float[np.ndarray, " groups"]:
    _, index = np.unique(groups, return_inverse=True)
    return np.bincount(index, weights=values) / np.bincount(index)
