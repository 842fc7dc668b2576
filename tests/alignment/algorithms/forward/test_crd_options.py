"""What CRD has beside its loss: errors divided by their size, a KL to the guided base and by how good images are."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.forward.grouped.crd import Crd
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdSettings
from dina_lrm.alignment.algorithms.forward.learner import kl_weights
from dina_lrm.alignment.algorithms.forward.matching import adaptive_error, per_sample
from dina_lrm.alignment.algorithms.forward.passes import Matched, Noised
from dina_lrm.alignment.algorithms.groups import centred
from dina_lrm.alignment.applies import check_asked
from dina_lrm.backbones.conditioning import Conditioning
from tests.alignment.runs import CRD, a_generator, a_run, an_algorithm

IDS = torch.tensor([0, 0, 1, 1])
ADAPTIVE = replace(CRD, crd=CrdSettings(weighting="adaptive"))


def held(config=CRD, **changes):
    return replace(config, forward=replace(config.forward, **{"kl_weight": 1e-2, **changes}))


def drawn(count=4):
    velocity, target = torch.randn(2, count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return velocity, target, torch.tensor([0.9, 0.6, 0.3, 0.1][:count])


def gradient(config):
    """The details of an update, and its whole gradient, of a generator before it learned."""
    algorithm, found = an_algorithm(config, a_generator(config)), []

    def learn():
        parameters = [p for p in algorithm.generator.parameters.values() if p.grad is not None]
        found.append(torch.cat([parameter.grad.flatten() for parameter in parameters]))
        return 1.0

    return algorithm.update(0, learn).details, found[0]


@given(scale=st.floats(0.1, 10))
def test_the_adaptive_error_grows_with_the_first_power_of_what_is_wrong(scale):
    velocity, target, share = drawn()
    residual = velocity - target
    plain = adaptive_error(residual, share)
    torch.testing.assert_close(adaptive_error(scale * residual, share), scale * plain, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(plain, share * per_sample(residual.square()) / per_sample(residual.abs()))
    assert adaptive_error(0 * residual, share).tolist() == [0, 0, 0, 0]


def test_at_the_older_policy_it_is_adaptive_matching_weighted_by_the_centred_optimality():
    velocity, target, share = drawn()
    velocity.requires_grad_()
    advantage = 2 * centred(torch.tensor([0.9, 0.2, 0.5, 0.4]), IDS)
    noised = Noised(target, target, share, Conditioning(torch.zeros(4, 1, 1)), old=velocity.detach())
    loss = Crd(ADAPTIVE).loss(Matched(velocity, noised, share, advantage, of_group=torch.zeros(4))).loss
    (found,) = torch.autograd.grad(loss.sum(), velocity)
    (wanted,) = torch.autograd.grad((advantage * adaptive_error(velocity - target, share)).sum(), velocity)
    torch.testing.assert_close(found, wanted)


def test_of_groups_are_compared_the_errors_that_the_loss_has():
    velocity, target, share = drawn()
    noised = Noised(target, target, share, Conditioning(torch.zeros(4, 1, 1)), old=velocity + 0.5)
    for config in (CRD, ADAPTIVE):
        objective, matched = Crd(config), Matched(velocity, noised, share, torch.zeros(4))
        own, old = matched.adaptive_errors() if config is ADAPTIVE else matched.errors()
        errors = objective.errors(velocity, noised, share)
        assert torch.equal(errors.own, own) and torch.equal(errors.old, old)
    assert not torch.allclose(gradient(CRD)[1], gradient(ADAPTIVE)[1], rtol=1e-3)


@pytest.fixture(scope="module")
def plain():
    return gradient(held())


def test_a_base_model_without_guidance_is_the_kl_of_before_bit_for_bit(plain):
    for scale in (0.0, 1.0):
        details, found = gradient(held(kl_guidance=scale))
        assert details == plain[0] and torch.equal(found, plain[1])


def test_the_guided_base_model_is_away_by_what_guidance_adds(plain):
    """Before anything was learned that is (scale - 1) times the difference that a prompt makes."""
    twice, pulled = gradient(held(kl_guidance=2.0))
    thrice, _ = gradient(held(kl_guidance=3.0))
    assert plain[0]["kl"] == 0 < twice["kl"] and thrice["kl"] == pytest.approx(4 * twice["kl"], rel=1e-3)
    assert twice["old_to_ref"] == pytest.approx(0, abs=1e-9), "which is of the base model without guidance"
    assert not torch.allclose(pulled, plain[1], rtol=1e-3)


@pytest.mark.parametrize("weight", [1e-5, 1e-4, 0.1, 10.0])
def test_the_best_are_held_wholly_and_the_worst_hardly(weight):
    found = kl_weights(torch.tensor([0.0, 0.5, 1.0]), weight)
    assert found[2].item() == pytest.approx(weight) and found[0].item() == pytest.approx(min(weight, 1e-4))
    assert found[1].item() == pytest.approx((found[0] + found[2]).item() / 2)


def test_how_good_images_are_is_what_the_target_says():
    rates = torch.tensor([0.9, 0.1, 0.7, 0.3])
    log_odds = replace(CRD, crd=CrdSettings(target="log-odds"))
    torch.testing.assert_close(Crd(log_odds).optimality(2 * centred(rates.logit(), IDS)), rates)
    torch.testing.assert_close(Crd(CRD).optimality(2 * centred(rates, IDS)), rates)
    assert Crd(CRD).optimality(torch.tensor([-1.5, 1.5])).tolist() == [0, 1], "cut where groups are not centred at 1/2"


def test_a_run_with_all_of_it_goes_on_to_the_same_bytes(tmp_path):
    config = replace(held(ADAPTIVE, kl_guidance=3.0, kl_by_reward=True), steps=2, checkpoint_every=1)
    whole, _, _ = a_run(config, tmp_path / "whole")
    a_run(config, tmp_path / "run", stop_after=1)
    resumed, _, _ = a_run(config, tmp_path / "run", resume=True)
    for file in ("metrics.jsonl", "monitor.jsonl"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    for name, parameter in whole.generator.parameters.items():
        assert torch.equal(resumed.generator.parameters[name], parameter), name


def test_what_would_do_nothing_or_is_no_scale_is_refused():
    with pytest.raises(ValueError, match=r"forward\.kl_guidance: got -1\.0; accepted: a finite number of at least 0"):
        held(kl_guidance=-1.0)
    idle = held(kl_weight=0.0, kl_guidance=3.0, kl_by_reward=True)
    with pytest.raises(ValueError, match=r"would have no effect; accepted with --forward\.kl-weight above 0"):
        check_asked(idle, {"crd": CRD})
