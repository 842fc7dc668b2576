"""What a trained variant reaches on the test sets, as a cell keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from dina_lrm.evaluation.calibration import calibration, truth_distance
from dina_lrm.evaluation.diagnostics import ALL, diagnose
from dina_lrm.evaluation.readings import PairScores, Reading
from dina_lrm.evaluation.scoring import pair_scores, readings_of, score_comparisons
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.evaluation.synthetic import DIAGNOSTIC
from dina_lrm.evaluation.uncertainty import score_draws, uncertainty_of
from dina_lrm.experiments.ablations.cells import Cell, CellReading, CellSet, CellUncertainty, packed
from dina_lrm.experiments.ablations.variants import (
    MIRRORED,
    PIXELS,
    TWO_DRAWS,
    UNCERTAINTY_DRAWS,
    UNCERTAINTY_LEVELS,
    UNCERTAINTY_PAIRS,
    VARIANTS,
    Variant,
)
from dina_lrm.preference.distributions import Constant
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.comparisons import TEST_IMAGES
from dina_lrm.synthetic.pixel_judges import score_pictures
from dina_lrm.synthetic.sets import synthetic_comparisons

TEST_SEED = 0
"""All cells are measured on the same pictures."""
UNCERTAIN: Final = "in_domain"
"""The set on which Table 4 is measured."""
_TWICE: Final = (Reading((0.2,)),)
ScoreSet = Callable[[EvaluationSet], dict[str, PairScores]]
"""Scores of a set: "" holds those of one draw of noise; other names are readings of several draws."""


def own_reading(variant: Variant) -> str:
    """How a variant is meant to be read: at the level of its training where it has only one, else at 0.2."""
    if variant.judge != "latent":
        return PIXELS
    config = variant.config()
    trained = config.objective.noise_levels.sampler
    return reading_key(Reading((trained.level if isinstance(trained, Constant) else config.model.noise_level,)))


def reading_key(reading: Reading) -> str:
    """How a reading is called in a cell: "0.2", "0.1+0.2+0.4", "pixels"."""
    return "+".join(f"{level:g}" for level in reading.levels) or PIXELS


def latent_scores(model: LatentRewardModel, variant: Variant) -> ScoreSet:
    """How a latent reward model scores a set: at every level that its variant is read at, and with several draws."""
    readings = readings_of(variant.levels, (variant.config().model.ensemble_levels,))
    several = {TWO_DRAWS: False, MIRRORED: True} if variant.draws else {}

    def scores(item: EvaluationSet) -> dict[str, PairScores]:
        found = {"": score_comparisons(model, item.encoded, readings, seed=TEST_SEED)}
        for name, antithetic in several.items():
            drawn = score_draws(model, item.encoded, _TWICE, 2, seed=TEST_SEED, antithetic=antithetic)
            found[name] = pair_scores(model, _TWICE, torch.from_numpy(drawn.mean(axis=0)))
        return found

    return scores


def latent_uncertainty(model: LatentRewardModel, item: EvaluationSet) -> tuple[CellUncertainty, ...]:
    """Table 4 of a latent reward model, on some pairs of a set."""
    data = item.encoded
    some = data.subset(torch.arange(min(UNCERTAINTY_PAIRS, len(data))))
    readings = readings_of(UNCERTAINTY_LEVELS, ())
    drawn = score_draws(model, some, readings, UNCERTAINTY_DRAWS, seed=TEST_SEED)
    return tuple(
        CellUncertainty(row.reading.levels[0], row.vr_common, row.vr_independent, row.margin, row.variance)
        for row in uncertainty_of(drawn, readings)
    )


def pixel_scores(model: nn.Module, pairs: int) -> ScoreSet:
    """How a judge of pixels scores a set: the pictures are drawn again, and checked to be those of the set."""

    def scores(item: EvaluationSet) -> dict[str, PairScores]:
        drawn = synthetic_comparisons(item.name, pairs, TEST_SEED)
        assert np.array_equal(drawn.preference, item.data.preference.double().numpy())
        found = score_pictures(model, drawn).astype(np.float64)
        first, second = (found[drawn.pairs[:, side], None] for side in (0, 1))
        link = expit(first - second)
        return {"": PairScores((Reading(()),), first, second, link, lambda margins, _: expit(margins))}

    return scores


def measured(cell: Cell, score: ScoreSet, sets: Sequence[EvaluationSet]) -> Cell:
    """The cell with what its judge reaches on every set."""
    variant = VARIANTS[cell.variant]
    found, faults = {}, {}
    for item in sets:
        scores = score(item)
        if item.name == DIAGNOSTIC:
            plain = scores[""]
            column = [reading_key(reading) for reading in plain.readings].index(own_reading(variant))
            faults = _faults(item, plain, column)
        else:
            found[item.name] = _cell_set(item, scores)
    return replace(cell, sets=found, faults=faults)


def _faults(item: EvaluationSet, scores: PairScores, column: int) -> dict[str, float]:
    assert item.groups is not None
    rows = diagnose(scores.margins[:, column], item.data.preference.double().numpy(), item.groups)
    return {row.kind: row.accuracy for row in rows if row.severity == ALL}


def _cell_set(item: EvaluationSet, scores: dict[str, PairScores]) -> CellSet:
    assert item.ceiling is not None
    found = {}
    for name, some in scores.items():
        for column, reading in enumerate(some.readings):
            found[name or reading_key(reading)] = _cell_reading(item, some, column)
    per_prompt = TEST_IMAGES * (TEST_IMAGES - 1) // 2
    fingerprint = synthetic_comparisons(item.name, len(item.data), TEST_SEED).fingerprint
    return CellSet(len(item.data), per_prompt, item.ceiling, fingerprint, found)


def _cell_reading(item: EvaluationSet, scores: PairScores, column: int) -> CellReading:
    label, probability = item.data.preference.double().numpy(), scores.probability[:, column]
    assert item.true_probability is not None
    right = np.sign(scores.margins[:, column]) == np.sign(label - 0.5)
    met, truth = calibration(probability, label), truth_distance(probability, item.true_probability)
    numbers = (float(right.mean()), met.ece, met.brier, met.log_score, truth.ece, truth.kl)
    return CellReading(packed(right), *(round(number, 6) for number in numbers))
