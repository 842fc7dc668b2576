"""Rewards bound to a generator: each scores its clean latents as the reward itself scores what it reads."""

import json

import pytest
import torch

from dina_lrm.reward_model.checks import LargeLatentsWarning
from dina_lrm.rewards.base import PixelReward
from dina_lrm.rewards.function import FunctionReward
from dina_lrm.rewards.names import load_reward
from tests.alignment.runs import PROMPTS, a_generator

TWO = PROMPTS[:2]


@pytest.fixture(scope="module")
def generator():
    return a_generator()


@pytest.fixture(scope="module")
def latents(generator):
    return generator.noise([1, 2])


class Brightness(PixelReward):
    """A reward of one's own, as a user writes it."""

    name, differentiable = "brightness", True

    def __call__(self, inputs, prompts):
        return inputs.mean(dim=(1, 2, 3))


@pytest.mark.parametrize("make", [Brightness, lambda: load_reward("sharpness"), lambda: load_reward("cnn")])
def test_a_reward_of_pictures_scores_the_decoded_ones_and_counts_a_decoding(make, generator, latents):
    reward = make()
    bound = reward.bound_to(generator)
    assert torch.equal(bound(latents, TWO), reward(generator.images(latents), TWO).float()) and bound.decodings == 1


def test_a_latent_reward_shares_the_generator_and_is_normalised_as_its_model_says(generator, latents):
    reward = load_reward("latent:synthetic", generator, 0.2)
    bound, model = reward.bound_to(generator), reward.model
    assert model.backbone.transformer is generator.model and bound.decodings == 0
    own = model.score_latents(latents, model.encode_prompts(TWO), 0.2, seed=5)
    assert torch.equal(bound(latents, TWO, seed=5), model.normalize(own))
    assert torch.equal(bound.raw(latents, TWO, 5, None), own)
    given = generator.encode_prompts(TWO)
    assert bound.conditioning(TWO, given) is given, "as many tokens: the generator's own conditioning is read"


def test_a_function_of_latents_gets_latents(generator, latents):
    bound = FunctionReward(lambda inputs, prompts: inputs.sum(dim=(1, 2, 3)), kind="latent").bound_to(generator)
    assert torch.equal(bound(latents, TWO), latents.float().sum(dim=(1, 2, 3))) and bound.decodings == 0


def test_a_mixture_decodes_once_or_not_at_all(generator, latents, tmp_path):
    def mixture(*items):
        (tmp_path / "mixture.json").write_text(json.dumps([{"reward": name, "weight": w} for name, w in items]))
        return load_reward(f"mixture:{tmp_path / 'mixture.json'}", generator)

    pixels = mixture(("sharpness", 2.0), ("colourfulness", -1.0)).bound_to(generator)
    pictures = generator.images(latents)
    parts = [load_reward(name)(pictures, TWO) for name in ("sharpness", "colourfulness")]
    torch.testing.assert_close(pixels(latents, TWO), 2 * parts[0] - parts[1])
    assert pixels.decodings == 1
    both = mixture(("latent:synthetic", 0.5), ("latent:synthetic", 0.5)).bound_to(generator)
    alone = load_reward("latent:synthetic", generator).bound_to(generator)
    torch.testing.assert_close(both(latents, TWO, 3), alone.raw(latents, TWO, 3, None))
    assert both.decodings == 0


@pytest.mark.parametrize("name", ["sharpness", "cnn"])
def test_a_noise_level_for_a_reward_that_adds_no_noise_is_refused(name):
    with pytest.raises(ValueError, match=rf"reward '{name}.*': noise_level 0.2; accepted for latent:, image:, remote:"):
        load_reward(name, noise_level=0.2)


def test_a_sample_that_went_astray_is_scored_with_a_warning(generator, latents):
    bound = load_reward("latent:synthetic", generator).bound_to(generator)
    wanted = bound(latents, TWO)
    astray = torch.stack([latents[0], 20 * latents[1]])
    with pytest.warns(LargeLatentsWarning, match="root mean square above 4"):
        found = bound(astray, TWO)
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-4, atol=1e-4)
    assert torch.isfinite(found).all()
