"""Reward feedback learning: gradients through the reward, the decoder and the regularisers."""

from dataclasses import replace

import pytest
import torch

from dina_lrm.alignment.algorithms.refl_settings import ReflSettings
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import REFL, a_generator, updated


@pytest.mark.parametrize("name", ["synthetic", "synthetic-unet"])
def test_rewards_of_pixels_reach_the_lora_of_either_generator(name):
    generator = a_generator(name=name)
    outcome = updated(replace(REFL, rewards=(RewardTerm("sharpness", weight=-1.0),)), generator)
    assert outcome.gradient_norm > 0 and outcome.reward == pytest.approx(-outcome.parts["sharpness"])
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in generator.parameters.values())


def test_small_steps_up_the_gradient_raise_the_reward():
    generator = a_generator()
    before = updated(REFL, generator, lr=0.02).reward
    for _ in range(2):
        updated(REFL, generator, lr=0.02)
    assert updated(REFL, generator).reward > before


def test_micro_batches_change_nothing_where_the_step_is_the_same():
    """The noise of a latent reward is one draw an update, and micro-batches are only what is held at once."""
    gradients = []
    for micro in (4, 2, 1):
        generator = a_generator()
        one_step = replace(REFL, micro_batch=micro, refl=ReflSettings(first=3, last=3))
        outcome = updated(one_step, generator)
        gradients.append([p.grad for p in generator.parameters.values()])
        assert outcome.gradient_norm > 0
    for other in gradients[1:]:
        for one, two in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-3)


def test_the_pretraining_loss_starts_at_the_generators_own_error_and_pulls_back():
    generator = a_generator()
    plain = updated(REFL, generator)
    mixed = updated(replace(REFL, refl=replace(REFL.refl, pretraining_weight=1e6, pretraining_samples=4)), generator)
    assert mixed.loss != pytest.approx(plain.loss) and 0 < mixed.loss < 10  # a mean squared error, all but alone


def test_the_distance_to_the_base_model_is_0_at_first_and_pulls_a_changed_lora_back():
    generator = a_generator()
    far = replace(REFL, rewards=(RewardTerm("sharpness", weight=0.0),), refl=replace(REFL.refl, kl_weight=1.0))
    assert updated(far, generator).loss == 0
    with torch.no_grad():
        for name, parameter in generator.parameters.items():
            if "lora_B" in name:
                parameter += 0.02
    for parameter in generator.parameters.values():
        parameter.grad = None
    before = updated(far, generator, lr=1e-2).loss
    assert 0 < updated(far, generator).loss < before


def test_steps_outside_the_schedule_are_refused():
    with pytest.raises(ValueError, match="0 <= first <= last <= 3"):
        replace(REFL, refl=ReflSettings(first=2, last=4))
