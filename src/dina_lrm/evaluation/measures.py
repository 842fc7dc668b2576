"""From the scores of a set to its result: accuracy, calibration, histogram of every reading, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from dina_lrm.evaluation.accuracy import labels, pairwise_accuracy
from dina_lrm.evaluation.calibration import calibration, truth_distance
from dina_lrm.evaluation.diagnostics import DiagnosticRow, PairGroups, diagnose
from dina_lrm.evaluation.readings import PairScores
from dina_lrm.evaluation.results import Disagreement, ReadingResult, ScoreHistogram, TemperatureScaling
from dina_lrm.evaluation.temperature import cross_fitted, fitted_temperature

_HISTOGRAM_BINS: Final = 40


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """The known answers to each pair: its label, its prompt id, and on the synthetic world the true probability."""

    preference: Float[np.ndarray, " pairs"]
    prompts: Int[np.ndarray, " pairs"]
    true_probability: Float[np.ndarray, " pairs"] | None = None


def measure_readings(
    scores: PairScores, known: KnownAnswers, convention: str = "micro_strict", seed: int = 0
) -> tuple[ReadingResult, ...]:
    """Accuracy, calibration and score histogram of every reading.

    A convention that takes a threshold has it fitted on the same pairs when it is `tie_calibrated`.
    """
    return tuple(_measure_reading(scores, column, known, convention, seed) for column in range(len(scores.readings)))


def worst_disagreements(
    scores: PairScores, column: int, known: KnownAnswers, prompt_of: Callable[[int], str], count: int = 8
) -> tuple[Disagreement, ...]:
    """The strictly labelled pairs in which the model is most certain of the image the label rejects.

    `prompt_of` gives the prompt of a pair by its row.
    """
    label = labels(known.preference)
    probability = scores.probability[:, column]
    against = np.where(label > 0, 1 - probability, probability)
    against = np.where((label != 0) & np.isfinite(against), against, -1.0)
    order = np.argsort(-against, kind="stable")[:count]
    truth = known.true_probability
    return tuple(
        Disagreement(
            pair=int(pair),
            prompt=prompt_of(int(pair)),
            score_a=float(scores.first[pair, column]),
            score_b=float(scores.second[pair, column]),
            probability=float(probability[pair]),
            preference=float(known.preference[pair]),
            true_probability=None if truth is None else float(truth[pair]),
        )
        for pair in order
        if against[pair] > 0.5
    )


def diagnostics_of(
    scores: PairScores, column: int, known: KnownAnswers, groups: PairGroups | None
) -> tuple[DiagnosticRow, ...]:
    """The table of faults, judged by the true probability where it is known; empty without groups."""
    if groups is None:
        return ()
    answer = known.preference if known.true_probability is None else known.true_probability
    return diagnose(scores.margins[:, column], answer, groups)


def _measure_reading(scores: PairScores, column: int, known: KnownAnswers, convention: str, seed: int) -> ReadingResult:
    probability, truth = scores.probability[:, column], known.true_probability
    return ReadingResult(
        reading=scores.readings[column],
        accuracy=pairwise_accuracy(scores.margins[:, column], known.preference, known.prompts, convention, seed=seed),
        calibration=calibration(probability, known.preference, seed=seed, prompts=known.prompts),
        truth=None if truth is None else truth_distance(probability, truth),
        scaled=_temperature_scaled(scores, column, known, seed),
        histogram=_histogram(scores.first[:, column], scores.second[:, column], known.preference),
    )


def _temperature_scaled(scores: PairScores, column: int, known: KnownAnswers, seed: int) -> TemperatureScaling:
    def link(margins: np.ndarray) -> np.ndarray:
        return scores.link(margins, column)

    margins = scores.margins[:, column]
    probability = cross_fitted(link, margins, known.preference, known.prompts, seed)
    met = truth = None
    if probability is not None:
        met = calibration(probability, known.preference, seed=seed, prompts=known.prompts)
        if known.true_probability is not None:
            truth = truth_distance(probability, known.true_probability)
    return TemperatureScaling(fitted_temperature(link, margins, known.preference), met, truth)


def _histogram(
    first: Float[np.ndarray, " pairs"], second: Float[np.ndarray, " pairs"], preference: Float[np.ndarray, " pairs"]
) -> ScoreHistogram:
    label = labels(preference)
    strict = (label != 0) & np.isfinite(first - second)
    preferred = np.where(label > 0, first, second)[strict]
    other = np.where(label > 0, second, first)[strict]
    both = np.concatenate([preferred, other])
    edges = np.histogram_bin_edges(both, bins=_HISTOGRAM_BINS) if both.size else np.linspace(0.0, 1.0, 2)
    return ScoreHistogram(
        edges=tuple(edges.tolist()),
        preferred=tuple(np.histogram(preferred, edges)[0].tolist()),
        other=tuple(np.histogram(other, edges)[0].tolist()),
    )
