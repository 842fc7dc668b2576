"""Expected bits against the integral; a posterior against laws; what is chosen."""

import numpy as np
import pytest
from scipy.special import entr, ndtr

from dina_lrm.collecting.choice.information import curvature, expected_information
from dina_lrm.collecting.choice.posterior import Posterior, fit_posterior
from dina_lrm.collecting.choice.ways import WAYS, choose
from dina_lrm.typed import DinaError


def bits_of_the_integral(margin, variance, noise):
    """The mutual information of a vote and the margin, on 4,001 places within eight standard deviations.

    Gauss-Hermite with 64 nodes is off by 0.05 bits where the margin is ten times as unsure as a judgement.
    """
    places = np.linspace(-8, 8, 4001)
    weights = np.exp(-np.square(places) / 2)
    entropy = lambda share: (entr(share) + entr(1 - share)) / np.log(2)  # noqa: E731
    shares = ndtr((margin + np.sqrt(variance) * places) / noise)
    weights /= weights.sum()
    return entropy(weights @ shares) - weights @ entropy(shares)


def test_expected_bits_are_those_of_the_integral():
    for noise in (0.2, 0.5, 1.0):
        for margin in np.linspace(0, 3, 13):
            for variance in (0.01, 0.1, 0.5, 1.0, 4.0):
                found = expected_information(np.array([margin]), np.array([variance]), noise)
                assert found[0] == pytest.approx(bits_of_the_integral(margin, variance, noise), abs=0.0027)


def test_nothing_is_to_be_learnt_of_a_margin_that_is_known():
    margins = np.linspace(-5, 5, 11)
    assert expected_information(margins, np.zeros(11), 0.5) == pytest.approx(np.zeros(11), abs=2e-3)
    assert np.isnan(expected_information(np.array([np.nan]), np.array([1.0]), 1.0)).all()
    for variance, noise in ((-1.0, 1.0), (1.0, 0.0)):
        with pytest.raises(DinaError):
            expected_information(np.array([0.0]), np.array([variance]), noise)


def test_the_step_of_a_vote_is_that_of_the_margins_variance():
    random = np.random.default_rng(0)
    known = Posterior(random.normal(size=5), np.cov(random.normal(size=(5, 40))))
    one, others = random.normal(size=5), random.normal(size=(9, 5))
    after = known.after_a_vote(one, 0.7)
    mean, variance = (found[0] for found in known.margins(one[None]))
    g = float(curvature(np.array([mean]), 0.7)[0])
    assert after.margins(one[None])[1][0] == pytest.approx(variance - variance**2 * g / (1 + g * variance))
    assert np.linalg.inv(after.covariance) == pytest.approx(np.linalg.inv(known.covariance) + g * np.outer(one, one))
    assert (after.margins(others)[1] <= known.margins(others)[1] + 1e-12).all()


def test_votes_bring_weights_to_the_truth_and_make_them_surer():
    random = np.random.default_rng(1)
    true, x = random.normal(size=4), random.normal(size=(2000, 4))
    outcomes = (random.random(2000) < ndtr(x @ true / 0.5)).astype(float)
    prior = Posterior.before(np.zeros(4), 1.0)
    few, many = (fit_posterior(prior, x[:n], outcomes[:n], 0.5) for n in (50, 2000))
    assert np.abs(many.weights - true).max() < 5 * np.sqrt(np.diag(many.covariance).max())
    assert np.abs(many.weights - true).max() < 0.15
    assert np.trace(many.covariance) < np.trace(few.covariance) < np.trace(prior.covariance)
    none = fit_posterior(prior, np.zeros((0, 4)), np.zeros(0), 0.5)
    assert none.weights == pytest.approx(prior.weights) and none.covariance == pytest.approx(prior.covariance)
    twice = fit_posterior(prior, np.repeat(x[:50], 2, axis=0), np.repeat(outcomes[:50], 2), 0.5)
    counted = fit_posterior(prior, x[:50], outcomes[:50], 0.5, np.full(50, 2.0))
    assert counted.weights == pytest.approx(twice.weights, abs=1e-8)
    with pytest.raises(DinaError, match="shares in"):
        fit_posterior(prior, x[:1], np.array([np.nan]), 0.5)


@pytest.mark.parametrize("way", WAYS)
def test_no_pair_is_chosen_twice_and_a_share_is_random(way):
    random = np.random.default_rng(2)
    known = Posterior.before(random.normal(size=3), 0.5)
    x = random.normal(size=(60, 3))
    found = choose(way, known, x, 0.5, 30, seed=4)
    assert len({one.row for one in found}) == 30 and found == choose(way, known, x, 0.5, 30, seed=4)
    assert {one.chosen_by for one in found} == {way, "random"}
    bits = expected_information(*known.margins(x), 0.5)
    assert [one.eig for one in found] == [float(bits[one.row]) for one in found]
    assert len(choose(way, known, x[:7], 0.5, 30)) == 7
    assert {one.chosen_by for one in choose(way, known, x, 0.5, 20, random_share=0.0)} == {way}
    for wrong in ({"way": "best"}, {"differences": np.full((3, 3), np.nan)}):
        with pytest.raises(DinaError):
            choose(**{"way": way, "known": known, "differences": x, "noise": 0.5, "number": 3} | wrong)


def test_the_batch_of_the_informed_way_does_not_ask_one_thing_twice():
    direction = np.eye(3)
    x = np.concatenate([np.repeat(direction[:1] * 2, 5, axis=0), direction[1:]])
    known = Posterior.before(np.zeros(3), 1.0)
    chosen = [one.row for one in choose("eig", known, x, 0.5, 3, random_share=0.0)]
    assert sorted(chosen) == [0, 5, 6]
    assert [one.row for one in choose("eig-top", known, x, 0.5, 3, random_share=0.0)] == [0, 1, 2]
