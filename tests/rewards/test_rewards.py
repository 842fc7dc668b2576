import json

import pytest
import torch

from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.latent import ImageReward, LatentReward
from dina_lrm.rewards.names import REWARDS, load_reward
from tests.models import some_images, some_latents, tiny_reward_model
from tests.rewards.published_folders import (
    save_aesthetic,
    save_hpsv2,
    save_hpsv3,
    save_image_reward,
    save_mps,
)
from tests.rewards.tiny_judges import save_tiny_clip, save_tiny_vlm

PROMPTS = ["a red cube", "a ball"]


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_reward_model(tiny_folder)


@pytest.fixture(scope="module")
def model_folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewards") / "model"
    model.save_pretrained(folder)
    return folder


PUBLISHED = {
    "hpsv2": lambda folder: save_hpsv2(folder)[0],
    "imagereward": lambda folder: save_image_reward(folder)[0],
    "aesthetic": lambda folder: save_aesthetic(folder)[0],
    "hpsv3": lambda folder: save_hpsv3(folder)[0],
    "mps": save_mps,
}


def made(folder):
    folder.mkdir()
    return folder


INPUTS = {"latent": some_latents, "pixel": some_images}


@pytest.fixture(scope="module")
def names(model_folder, tmp_path_factory):
    """A name for every family, its weights on disk."""
    place = tmp_path_factory.mktemp("judges")
    clip, vlm = save_tiny_clip(place / "clip"), save_tiny_vlm(place / "vlm")
    mixture = [{"reward": "sharpness", "weight": 2.0, "std": 0.5}, {"reward": f"clip:{clip}", "mean": 1.0}]
    (place / "mixture.json").write_text(json.dumps(mixture))
    models = {
        **dict.fromkeys(("latent", "image"), model_folder),
        **dict.fromkeys(("clip", "pickscore"), clip),
        **{family: save(made(place / family)) for family, save in PUBLISHED.items()},
        "vlm": vlm,
        "mixture": place / "mixture.json",
        "python": "tests.rewards.functions.brightness",
        "relative": f"clip:{clip}?good=a cube of&bad=no&k=0.5",
    }
    return {family: f"{family}:{models[family]}" if family in models else family for family in REWARDS}


# One on a server needs the server: test_remote.py
HERE = [family for family in REWARDS if family != "remote"]


@pytest.mark.parametrize("family", HERE)
def test_every_reward_fits_the_protocol(family, names):
    reward = load_reward(names[family])
    assert isinstance(reward, Reward)
    assert reward.name == names[family]
    inputs = INPUTS[reward.kind](2).requires_grad_(reward.differentiable)
    scores = reward(inputs, PROMPTS)
    assert (scores.shape, scores.dtype, scores.requires_grad) == ((2,), torch.float32, reward.differentiable)
    assert torch.equal(scores.nan_to_num(9), reward(inputs, PROMPTS).nan_to_num(9))
    if reward.differentiable:
        scores.sum().backward()
        assert inputs.grad.abs().sum() > 0
    with pytest.raises(ValueError, match=r"prompts|conditioning"):
        reward(inputs, [*PROMPTS, "a cube"])


@pytest.mark.parametrize("family", [family for family in HERE if family not in ("latent", "image", "vlm", "python")])
def test_pixel_rewards_score_item_by_item_and_refuse_what_is_no_image(family, names):
    reward = load_reward(names[family])
    images = some_images(3)
    whole = reward(images, ["a cube", "a ball", "a cube"])
    alone = torch.cat([reward(images[n : n + 1], [["a cube", "a ball"][n % 2]]) for n in range(3)])
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-5)
    for bad in (images * 3, images[:, :1], images * float("nan")):
        with pytest.raises(ValueError, match="images"):
            reward(bad, ["a cube"] * 3)


def test_latent_and_image_rewards_agree_through_the_encoder(model):
    images = some_images(2)
    levels = (0.2, 0.5)
    on_latents = LatentReward(model, levels, seed=3)(model.encode_images(images), PROMPTS)
    torch.testing.assert_close(ImageReward(model, levels, seed=3)(images, PROMPTS), on_latents, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(on_latents, model.score(images, PROMPTS, levels, seed=3), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["latent", "latent:", "hpsv9:x", ""])
def test_an_unknown_reward_names_the_known_ones(name):
    with pytest.raises(ValueError, match=r"accepted: .*clip\[:MODEL\] .*, image:MODEL .*, sharpness \("):
        load_reward(name)
