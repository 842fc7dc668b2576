"""Calibration measures on simulated annotators whose truth is known."""

import numpy as np
import pytest

from dina_lrm.evaluation.calibration import calibration, truth_distance


def simulate(pairs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True probabilities spread over (0, 1) and labels drawn from them."""
    generator = np.random.default_rng(seed)
    truth = generator.beta(0.6, 0.6, size=pairs)
    return truth, (generator.random(pairs) < truth).astype(np.float64)


def test_a_perfect_model_shows_only_the_floor() -> None:
    truth, labels = simulate(20_000)
    result = calibration(truth, labels)
    assert result.ece < 0.012
    assert result.ece == pytest.approx(result.ece_floor, abs=0.006)
    distance = truth_distance(truth, truth)
    assert distance.ece == pytest.approx(0, abs=1e-12)
    assert distance.mean_absolute == 0
    assert distance.kl == pytest.approx(0, abs=1e-9)


def test_the_floor_is_what_a_perfect_model_shows_at_that_size() -> None:
    measured = [calibration(*simulate(500, seed)).ece for seed in range(40)]
    floor = [calibration(*simulate(500, seed)).ece_floor for seed in range(5)]
    assert np.mean(measured) == pytest.approx(np.mean(floor), rel=0.2)
    assert np.mean(floor) > 0.02


def test_an_overconfident_model_is_found_out() -> None:
    truth, labels = simulate(5000)
    odds = (truth / (1 - truth)) ** 3
    overconfident = odds / (1 + odds)
    honest, loud = calibration(truth, labels), calibration(overconfident, labels)
    assert loud.ece > 5 * honest.ece
    assert loud.brier > honest.brier
    assert loud.log_score > honest.log_score
    assert truth_distance(overconfident, truth).ece == pytest.approx(loud.ece, abs=0.02)


def test_which_image_is_called_the_first_does_not_matter() -> None:
    truth, labels = simulate(400)
    flip = np.random.default_rng(1).random(400) < 0.5
    there, back = calibration(truth, labels), calibration(np.where(flip, 1 - truth, truth), np.abs(labels - flip))
    assert back.ece == pytest.approx(there.ece)
    assert back.brier == pytest.approx(there.brier)
    assert back.log_score == pytest.approx(there.log_score)


def test_values_by_hand() -> None:
    probability, labels = np.array([0.9, 0.2, 0.55, 1.0]), np.array([1.0, 1.0, 0.5, 1.0])
    result = calibration(probability, labels, bins=5)
    # confidences .9 .8 .55 1. with outcomes 1 0 .5 1 in the bins [.9, 1], [.8, .9), [.5, .6)
    assert [(row.pairs, row.confidence, row.outcome) for row in result.bins] == [
        (1, pytest.approx(0.55), pytest.approx(0.5)),
        (1, pytest.approx(0.8), pytest.approx(0.0)),
        (2, pytest.approx(0.95), pytest.approx(1.0)),
    ]
    assert result.ece == pytest.approx((0.05 + 0.8 + 2 * 0.05) / 4)
    assert result.brier == pytest.approx((0.01 + 0.64 + 0.0025) / 4)
    entropy = -(np.log(0.9) + np.log(0.2) + 0.5 * np.log(0.55) + 0.5 * np.log(0.45))
    assert result.log_score == pytest.approx(entropy / 4)


def test_certainty_that_is_wrong_costs_a_finite_log_score() -> None:
    assert calibration(np.array([1.0]), np.array([0.0])).log_score == pytest.approx(-np.log(1e-12), rel=1e-3)


def test_missing_probabilities_are_left_out_and_nonsense_is_refused() -> None:
    assert calibration(np.array([0.7, np.nan]), np.array([1.0, 0.0])).pairs == 1
    with pytest.raises(ValueError, match=r"probability reaches from 0\.5 to 1\.5"):
        calibration(np.array([0.5, 1.5]), np.ones(2))
    with pytest.raises(ValueError, match="none of 1 pairs has a probability"):
        calibration(np.array([np.nan]), np.ones(1))
    with pytest.raises(ValueError, match="bins is 0"):
        calibration(np.array([0.5]), np.ones(1), bins=0)


def test_the_interval_covers_what_more_pairs_would_show() -> None:
    inside = 0
    for seed in range(20):
        truth, labels = simulate(1500, seed)
        odds = (truth / (1 - truth)) ** 2
        loud = odds / (1 + odds)
        exact = truth_distance(loud, truth).ece
        found = calibration(loud, labels, prompts=np.arange(1500) // 3)
        assert 0 <= found.ece_low <= found.ece <= found.ece_high
        inside += found.ece_low <= exact <= found.ece_high
    assert inside >= 16


def test_pairs_that_are_copies_of_one_another_widen_the_interval() -> None:
    truth, labels = simulate(300)
    loud = np.clip(truth + 0.3 * np.sign(truth - 0.5), 0.01, 0.99)
    four = [np.repeat(values, 4) for values in (loud, labels)]
    apart, together = calibration(*four), calibration(*four, prompts=np.repeat(np.arange(300), 4))
    assert together.ece_high - together.ece_low > 1.5 * (apart.ece_high - apart.ece_low)
