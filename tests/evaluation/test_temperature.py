"""One temperature mends what is too loud or too quiet by a factor, and flatters nobody."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr

from dina_lrm.evaluation.calibration import calibration, truth_distance
from dina_lrm.evaluation.temperature import cross_fitted, fitted_temperature


def simulate(pairs, loudness, seed=0):
    """True margins of a probit world; the model's margins are `loudness` times too large."""
    generator = np.random.default_rng(seed)
    margins = generator.normal(size=pairs)
    truth = norm.cdf(margins)
    return loudness * margins, (generator.random(pairs) < truth).astype(float), truth


@settings(max_examples=20, deadline=None)
@given(loudness=st.floats(0.1, 10), seed=st.integers(0, 99))
def test_the_factor_is_found_whatever_it_is(loudness, seed):
    margins, labels, _ = simulate(20_000, loudness, seed)
    assert fitted_temperature(norm.cdf, margins, labels) == pytest.approx(loudness, rel=0.06)


def test_soft_labels_and_labels_drawn_from_them_agree():
    margins, labels, truth = simulate(50_000, 3.0)
    hard, soft = fitted_temperature(norm.cdf, margins, labels), fitted_temperature(norm.cdf, margins, truth)
    assert soft == pytest.approx(3.0, rel=1e-3)
    assert hard == pytest.approx(soft, rel=0.05)


def test_an_overconfident_judge_is_calibrated_on_pairs_it_was_not_fitted_on():
    margins, labels, truth = simulate(8_000, 4.0)
    prompts = np.arange(8_000) // 4
    probability = cross_fitted(norm.cdf, margins, labels, prompts)
    assert calibration(norm.cdf(margins), labels).ece > 0.1
    assert calibration(probability, labels).ece < 0.02
    assert truth_distance(probability, truth).ece < 0.01
    assert spearmanr(margins, probability).statistic > 0.999


def test_each_half_is_given_the_temperature_of_the_other():
    margins, labels, _ = simulate(400, 2.0)
    prompts = np.arange(400) // 2
    probability = cross_fitted(norm.cdf, margins, labels, prompts, seed=3)
    implied = margins / norm.ppf(probability)
    assert len(np.unique(implied.round(6))) == 2
    changed = labels.copy()
    first = implied == implied[0]
    changed[first] = 1 - changed[first]
    again = cross_fitted(norm.cdf, margins, changed, prompts, seed=3)
    np.testing.assert_array_equal(again[first], probability[first])
    assert not np.allclose(again[~first], probability[~first])


def test_missing_scores_stay_missing_and_too_little_is_said():
    margins, labels, _ = simulate(40, 1.0)
    margins[3] = np.nan
    assert np.isnan(cross_fitted(norm.cdf, margins, labels, np.arange(40))[3])
    assert cross_fitted(norm.cdf, margins, labels, np.zeros(40, dtype=int)) is None
    with pytest.raises(ValueError, match="none of 2 pairs has a score"):
        fitted_temperature(norm.cdf, np.full(2, np.nan), np.zeros(2))
