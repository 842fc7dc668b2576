"""The whole generator through a backbone: its own prediction as a velocity, alone and with the states on the way."""

import pytest
import torch

from tests.backbones.families import GENERATOR_LORA, PROMPTS, SETTINGS, assert_equal, levels_of, randomize_lora

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")


def test_it_is_the_generators_own_prediction(case, pipeline, shared, conditioning):
    latents, levels = case.latents(), levels_of()
    wanted = case.predicted(pipeline, latents, levels, conditioning)
    found = shared.velocity(latents, levels, conditioning)
    assert found.dtype == torch.float32 and found.shape == latents.shape
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_a_step_with_it_is_a_step_of_the_familys_sampler(case, pipeline, shared, conditioning):
    latents = case.latents(batch=1)
    sampled, level = case.sampled_once(pipeline, PROMPTS[0], latents)
    velocity = shared.velocity(latents, level, conditioning[0])
    torch.testing.assert_close(shared.process.clean_from_velocity(latents, velocity, level), sampled)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_one_pass_gives_the_same_velocity_and_features(case, pipeline, shared, conditioning, checkpointing):
    if checkpointing:
        case.model(pipeline).enable_gradient_checkpointing()
        case.model(pipeline).train()
    latents, levels = case.latents().requires_grad_(), levels_of()
    velocity, features = shared.velocity_and_features(latents, levels, conditioning)
    torch.testing.assert_close(velocity, shared.velocity(latents, levels, conditioning))
    assert_equal(features, shared.features(latents, levels, conditioning))
    (velocity.square().mean() + features.visual[-1].square().mean()).backward()
    assert latents.grad.isfinite().all() and latents.grad.abs().sum() > 0


def test_the_velocity_has_the_generators_lora_and_never_the_rewards(case, pipeline, shared, conditioning):
    latents, levels = case.latents(), levels_of()
    plain = shared.velocity(latents, levels, conditioning)
    shared.add_lora(SETTINGS)
    randomize_lora(shared)
    torch.testing.assert_close(shared.velocity(latents, levels, conditioning), plain, atol=0, rtol=0)
    with pytest.raises(ValueError, match="needs a pass of its own"):
        shared.velocity_and_features(latents, levels, conditioning)
    torch.manual_seed(0)
    case.model(pipeline).add_adapter(GENERATOR_LORA, "style")
    styled = shared.velocity(latents, levels, conditioning)
    assert not torch.equal(styled, plain)
    styled.square().mean().backward()
    trained = {name for name, p in case.model(pipeline).named_parameters() if p.grad is not None}
    assert trained and all(".style." in name for name in trained)


def test_half_a_generator_predicts_nothing(case, standalone, conditioning):
    for method in (standalone.velocity, standalone.velocity_and_features):
        with pytest.raises(ValueError, match="load the backbone with pipeline="):
            method(case.latents(), levels_of(), conditioning)
