"""Objectives that compare whole groups, in the loop: micro-batches, what is logged at the start, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdSettings
from dina_lrm.alignment.algorithms.forward.old_policy import DECAYS
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import CRD, DGPO, GRPO, NFT, a_generator, an_algorithm, updated

ADAPTIVE = replace(CRD, crd=CrdSettings(weighting="adaptive"))
LOG_ODDS = replace(CRD, crd=CrdSettings(target="log-odds", kind="bce", beta=3.0))


def of_forward(config, **changes):
    return replace(config, forward=replace(config.forward, **changes))


def learned(config):
    """The gradient of an update of a LoRA that has learned, so that it and its base differ."""
    generator = a_generator(config)
    with torch.no_grad():
        for name, parameter in generator.parameters.items():
            if "lora_B" in name:
                parameter += 0.02
    outcome = updated(config, generator)
    gradients = [parameter.grad for parameter in generator.parameters.values() if parameter.grad is not None]
    return outcome, torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize(
    "config",
    [CRD, ADAPTIVE, LOG_ODDS, of_forward(DGPO, group=4, updates=1)],
    ids=["crd", "adaptive", "log-odds", "dgpo"],
)
def test_groups_may_be_shared_by_micro_batches(config):
    (whole, one), (parts, four) = learned(replace(config, micro_batch=4)), learned(replace(config, micro_batch=1))
    assert whole.loss == pytest.approx(parts.loss, rel=1e-4) and one.abs().max() > 0
    torch.testing.assert_close(one, four, rtol=1e-3, atol=1e-3 * one.abs().max().item())


def test_groups_are_told_apart_by_half_before_anything_is_learned():
    outcome = updated(DGPO)
    assert outcome.details["group_weight"] == 0.5 and outcome.details["deviation"] == 0 != outcome.gradient_norm
    further, _ = learned(DGPO)
    assert 0 < further.details["group_weight"] < 1 and further.details["group_weight"] != 0.5


def test_images_of_a_prompt_share_noise_and_level_where_errors_of_a_group_are_compared_by_it():
    algorithm = an_algorithm(of_forward(DGPO, group=4, updates=1))
    rolled = algorithm._rolled_out(np.random.default_rng(0))
    assert (rolled.lessons.seeds == rolled.lessons.seeds[:1]).all()
    assert (rolled.lessons.levels == rolled.lessons.levels[:1]).all()
    assert rolled.lessons.advantage.sum().abs() < 1e-6


def test_win_rates_are_the_optimality_without_scale_or_clip():
    outcome = updated(of_forward(NFT, transform="win-rate", group=4))
    assert outcome.details["advantages_cut"] == 0 < outcome.details["advantage_spread"] < 1
    assert updated(replace(GRPO, grpo=replace(GRPO.grpo, transform="win-rate", updates=1))).gradient_norm > 0


def test_the_copies_of_crd_follow_by_schedules_of_their_own_and_are_kept():
    algorithm = an_algorithm(CRD)
    assert set(algorithm.state()) == {"old", "sampling"}
    assert DECAYS["firm"].at(10) == pytest.approx(0.3) and DECAYS["firm"].at(500) == 0.999


def test_what_has_no_win_rate_is_refused_before_anything_is_drawn():
    with pytest.raises(ValueError, match=r"forward\.transform win-rate needs to know .* which jpeg-size does not say"):
        an_algorithm(replace(CRD, rewards=(RewardTerm("jpeg-size"),)))
    with pytest.raises(ValueError, match=r"crd\.target.*log-odds.*accepted: optimality, or log-odds with"):
        replace(LOG_ODDS, forward=replace(CRD.forward, transform="none"))
    with pytest.raises(ValueError, match=r"forward\.old.*'copy'; accepted: another schedule"):
        of_forward(CRD, old="copy")
    with pytest.raises(ValueError, match=r"forward\.combination.*normalised.*accepted: sum with"):
        of_forward(CRD, combination="normalised")
    with pytest.raises(ValueError, match=r"grpo\.combination.*normalised.*accepted: sum with"):
        replace(GRPO, grpo=replace(GRPO.grpo, transform="win-rate", combination="normalised"))
