"""Expected bits against the integral; a posterior against laws; what is chosen, and what an annotator is asked."""

from itertools import count

import numpy as np
import pytest
from scipy.special import entr, ndtr

from dina_lrm.collecting.choice.asking import next_pairs, open_tasks
from dina_lrm.collecting.choice.information import curvature, expected_information
from dina_lrm.collecting.choice.last_layer import read_last_layer
from dina_lrm.collecting.choice.posterior import Posterior, fit_posterior
from dina_lrm.collecting.choice.ways import WAYS, choose
from dina_lrm.data.votes import NewPair
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError
from tests.data.votes.drawn import png, said, store_of
from tests.models import randomised, tiny_config


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


def test_scores_are_linear_in_what_the_last_layer_reads(tiny_folder):
    model = randomised(LatentRewardModel.build(tiny_config(tiny_folder)))
    pictures, prompts = [png(n, 32) for n in range(5)], ["a red cube", "a blue ball", "a red cube", "a cat", "a tree"]
    read = read_last_layer(model, pictures, prompts, batch_size=2)
    wanted = model.score(pictures, prompts).numpy()
    assert read.scores == pytest.approx(wanted, abs=1e-5)
    margins = read.before().margins(read.features[:1] - read.features[2:3])[0]
    assert margins[0] == pytest.approx(wanted[0] - wanted[2], abs=1e-4)
    with pytest.raises(DinaError, match="5 pictures and 4 prompts"):
        read_last_layer(model, pictures, prompts[:4])


def test_an_annotator_is_asked_controls_first_then_what_was_chosen(tmp_path):
    number = count()
    with store_of(tmp_path / "votes.sqlite", 30, first_controls=3, votes_a_pair=2, repeat_share=0.3) as store:
        new = [NewPair(f"control {n}", png(200 + 2 * n), png(201 + 2 * n), "control", "first") for n in range(5)]
        store.add_pairs(new, inside=True)
        tasks = [pair.id for pair in store.pairs() if pair.kind == "task"]
        me, you, other = (store.join(name) for name in ("Ada", "Bert", "Cleo"))
        asked = []
        ahead = next_pairs(store, me, 3, tasks[::-1])
        while pairs := next_pairs(store, me, 1, tasks[::-1]):
            asked.append(pairs[0])
            store.record(said(pairs[0].id, me, "a", next(number)))
        assert asked[:3] == ahead, "who looks ahead sees what is asked"
        kinds = [pair.kind for pair in asked]
        assert kinds.count("control") == 5 and kinds.count("task") == 30 and kinds.count("repeat") > 2
        assert len({pair.id for pair in asked}) == len(asked)
        assert sum(kind == "control" for kind in kinds[:10]) >= 3
        assert [pair.id for pair in asked if pair.kind == "task"] == tasks[::-1]
        for pair in asked:
            if pair.kind == "repeat":
                places = [one.id for one in asked if one.kind == "task" or one.id == pair.id]
                assert places.index(pair.id) - places.index(pair.repeats) >= 10
        for task in tasks[:4]:
            store.record(said(task, you, "b", next(number)))
        store.record(said(tasks[4], you, "skip", next(number)))
        assert {pair.id for pair in open_tasks(store, other)} == set(tasks[4:]), "two have answered the first four"
        store.mark([(tasks[9], "eig", 0.5)])
        assert store.pair(tasks[9]).chosen_by is None, "what has votes was chosen as it was"
