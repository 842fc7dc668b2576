"""Annotators whose noise is known are found again; the likelihood's laws; what votes weigh by a fit."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from dina_lrm.collecting.vote_models.fit import Judgements, fit_annotators
from dina_lrm.collecting.vote_models.likelihood import Parameters, log_likelihood
from dina_lrm.collecting.vote_models.of_store import fit_store
from dina_lrm.data.votes import NewPair
from dina_lrm.data.votes.trust import weighed
from dina_lrm.typed import DinaError
from tests.data.votes.drawn import png, said, store_of

NOISE = np.array([0.3, 0.5, 0.8, 1.2])


def voted(margins, beta, lean, lapse, per, seed):
    """Votes of annotators, each on so many of the pairs."""
    random = np.random.default_rng(seed)
    rows = np.concatenate([random.permutation(len(margins))[:per] for _ in beta])
    who = np.repeat(np.arange(len(beta)), per)
    left = random.choice([-1.0, 1.0], len(rows))
    share = lapse[who] / 2 + (1 - lapse[who]) * ndtr(beta[who] * margins[rows] + lean[who] * left)
    return Judgements(rows, who, np.where(random.random(len(rows)) < share, 0, 2), left)


def test_the_noise_of_annotators_is_found_again_from_200_votes_each():
    beta, lean = np.append(1 / NOISE, -2.0), np.array([0.0, 0.6, 0.0, 0.0, 0.0])
    ratios = []
    for seed in range(4):
        margins = np.random.default_rng(seed).normal(size=300)
        fit = fit_annotators(voted(margins, beta, lean, np.full(5, 0.05), 200, seed), margins)
        ratios.append([one.noise / wanted for one, wanted in zip(fit.annotators[:4], NOISE, strict=True)])
        adversary = fit.annotators[4]
        assert adversary.beta < 0 and math.isnan(adversary.noise) and adversary.weight == 0.0
        assert ((fit.a_better > 0.5) == (margins > 0)).all(), "margins were given"
    assert np.abs(np.array(ratios) - 1).mean() < 0.2


def test_many_votes_find_all_of_an_annotator():
    margins = np.random.default_rng(9).normal(size=4000)
    votes = voted(margins, np.array([2.0, 1.0]), np.array([0.5, 0.0]), np.array([0.0, 0.2]), 4000, 9)
    one, two = fit_annotators(votes, margins).annotators
    assert (one.beta, one.lean, one.lapse) == pytest.approx((2.0, 0.5, 0.0), abs=0.15)
    assert (two.beta, two.lean, two.lapse) == pytest.approx((1.0, 0.0, 0.2), abs=0.15)
    assert one.accuracy > two.accuracy and one.weight == pytest.approx(2 * one.accuracy - 1)


def test_the_unit_of_margins_is_the_unit_of_noise():
    margins = np.random.default_rng(3).normal(size=200)
    votes = voted(margins, np.array([2.0, 1.0]), np.zeros(2), np.zeros(2), 200, 3)
    one, ten = fit_annotators(votes, margins), fit_annotators(votes, 10 * margins)
    assert [10 * each.noise for each in one.annotators] == pytest.approx(
        [each.noise for each in ten.annotators], rel=1e-4
    )
    assert one.log_likelihood == pytest.approx(ten.log_likelihood, abs=1e-6)


@pytest.mark.parametrize("link", ["thurstone", "bradley-terry"])
def test_answers_add_up_to_one_and_sides_and_pictures_can_be_swapped(link):
    margins = torch.linspace(-4, 4, 9, dtype=torch.float64)[None].expand(3, -1)
    given = Parameters(*(torch.full((3,), value, dtype=torch.float64) for value in (1.7, 0.4, 0.1, 0.3)))
    answers, left = torch.arange(3), torch.ones(3, dtype=torch.float64)
    found = log_likelihood(margins, answers, left, given, link).exp()
    assert torch.allclose(found.sum(dim=0), torch.ones(9, dtype=torch.float64))
    swapped = log_likelihood(-margins, answers.flip(0), -left, given, link).exp()
    assert torch.allclose(found, swapped)


def test_votes_weigh_what_the_fit_says_of_their_annotator(tmp_path):
    random = np.random.default_rng(5)
    with store_of(tmp_path / "votes.sqlite", 60, first_controls=0, right_share=0.0) as store:
        truth = random.choice(["a", "b"], 60)
        for name, right in (("Ada", 0.97), ("Bert", 0.8), ("Cleo", 0.9), ("Guess", 0.5)):
            who = store.join(name)
            for place, pair in enumerate(store.pairs()):
                answer = truth[place] if random.random() < right else {"a": "b", "b": "a"}[truth[place]]
                store.record(said(pair.id, who, str(answer), f"{name} {place}", left="ab"[random.integers(2)]))
        few = store.join("Few")
        store.record(said(store.pairs()[0].id, few, "tie", "few"))
        votes = weighed(store.log(), store.pairs(), store.settings)
        found = fit_store(votes, "overall")
    weights = {one.vote.annotator: one.weight for one in found.reweighed(votes)}
    assert weights[1] > weights[2] > weights[4] and weights[4] < 0.3 and weights[few] == 1.0
    pairs = {one.pair.id: place for place, one in enumerate(votes[:60])}
    right = [(share > 0.5) == (truth[pairs[id]] == "a") for id, share in found.a_better.items()]
    assert np.mean(right) > 0.9
    with pytest.raises(DinaError, match="no votes that decide or tie"):
        fit_store(votes, "quality")


def test_controls_tell_an_adversary_from_the_others(tmp_path):
    with store_of(tmp_path / "votes.sqlite", 1, first_controls=0) as store:
        new = [NewPair(f"c {n}", png(300 + 2 * n), png(301 + 2 * n), "control", "first") for n in range(25)]
        store.add_pairs(new, inside=True)
        good, bad = store.join("good"), store.join("bad")
        for pair in store.pairs()[1:]:
            store.record(said(pair.id, good, pair.truth, f"good {pair.id}", left=pair.truth))
            store.record(said(pair.id, bad, {"a": "b", "b": "a"}[pair.truth], f"bad {pair.id}", left=pair.truth))
        found = fit_store(weighed(store.log(), store.pairs(), store.settings), "overall")
    assert found.annotators[good].beta > 0 > found.annotators[bad].beta


def test_what_cannot_be_fitted_is_refused():
    votes = Judgements(np.array([0]), np.array([0]), np.array([0]), np.array([1.0]))
    for margins in (np.array([np.nan]), np.zeros(0)):
        with pytest.raises(DinaError, match="margins"):
            fit_annotators(votes, margins)
    with pytest.raises(DinaError, match="answers"):
        Judgements(np.array([0]), np.array([0]), np.array([7]), np.array([1.0]))
    with pytest.raises(DinaError, match="at least one vote"):
        Judgements(*(np.zeros(0, int),) * 3, np.zeros(0))
