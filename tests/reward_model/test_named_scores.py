"""Several scores from one pass: names, which one is meant, their scales, and folders with and without them."""

import dataclasses
import json

import pytest
import torch

from dina_lrm.heads.settings import PooledConfig
from dina_lrm.reward_model.config import RewardModelConfig, ScoreScale
from dina_lrm.reward_model.model import LatentRewardModel
from tests.models import some_conditioning, some_images, some_latents, tiny_config, tiny_reward_model

NAMES = ("overall", "alignment", "quality")
SCALES = {"alignment": ScoreScale(1.0, 2.0, 3.0)}


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_reward_model(tiny_folder, scores=NAMES, score_mean=-1.0, score_std=0.5, other_scales=SCALES)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("several") / "model"
    model.save_pretrained(place)
    return place


def test_all_ways_of_scoring_give_every_score_by_name_and_the_first_as_the_main_one(model):
    latents, conditioning, noise = some_latents(3), some_conditioning(3), some_latents(3, seed=5)
    for levels in (0.3, (0.2, 0.6)):
        every = model.latent_scores(latents, conditioning, levels, noise=noise)
        assert tuple(every) == NAMES and all(found.shape == (3,) for found in every.values())
        assert torch.equal(every["overall"], model.score_latents(latents, conditioning, levels, noise=noise))
        assert not torch.allclose(every["overall"], every["quality"], rtol=1e-2)
    noisy = 0.7 * latents + 0.3 * noise
    states, single = (
        model.noisy_scores(noisy, 0.3, conditioning),
        model.latent_scores(latents, conditioning, 0.3, noise),
    )
    for name in NAMES:
        torch.testing.assert_close(states[name], single[name], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.named(name).score_noisy(noisy, 0.3, conditioning), states[name])
    pictures = model.scores(some_images(2), "a red cube")
    assert torch.equal(pictures["overall"], model.score(some_images(2), "a red cube"))
    assert torch.equal(pictures["quality"], model.named("quality").score(some_images(2), "a red cube"))


def test_each_score_has_a_gradient_of_its_own(model):
    latents, conditioning = some_latents(2).requires_grad_(), some_conditioning(2)
    every = model.latent_scores(latents, conditioning)
    gradients = [torch.autograd.grad(found.sum(), latents, retain_graph=True)[0] for found in every.values()]
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    assert not torch.allclose(gradients[0], gradients[1], rtol=1e-2)


def test_a_named_view_shares_the_weights_and_has_the_scales_of_its_score(model):
    view = model.named("alignment")
    assert view.head is model.head and view.backbone is model.backbone and view.training == model.training
    assert (view.config.score_mean, view.config.score_std, view.config.temperature) == (1.0, 2.0, 3.0)
    assert view.config.scales == model.config.scales and view.config.main == "alignment"
    assert view.named("overall").config == dataclasses.replace(model.config, main_score="overall")
    margin = torch.tensor(0.3)
    plain = model.margin_probability(margin / 3)
    torch.testing.assert_close(view.margin_probability(margin), plain)
    with pytest.raises(ValueError, match="'beauty'; accepted: overall, alignment, quality"):
        model.named("beauty")


def test_a_folder_keeps_names_and_scales_and_an_address_says_which_score_is_meant(model, folder):
    read = LatentRewardModel.from_pretrained(folder)
    assert read.config == model.config
    latents, conditioning = some_latents(2), some_conditioning(2)
    found = read.latent_scores(latents, conditioning)
    for name, wanted in model.latent_scores(latents, conditioning).items():
        torch.testing.assert_close(found[name], wanted, atol=1e-5, rtol=1e-4)
    of = LatentRewardModel.from_pretrained(f"{folder}?score=quality")
    assert torch.equal(of.score_latents(latents, conditioning), found["quality"])
    with pytest.raises(ValueError, match=r"\?score=beauty: 'beauty'; accepted: overall, alignment, quality"):
        LatentRewardModel.from_pretrained(f"{folder}?score=beauty")


def test_a_weighted_sum_is_one_of_z_scores_from_the_same_pass(model, folder):
    latents, conditioning = some_latents(2), some_conditioning(2)
    every = model.latent_scores(latents, conditioning)
    expected = 0.7 * (every["alignment"] - 1.0) / 2.0 - 0.5 * every["quality"]
    view = model.weighted({"alignment": 0.7, "quality": -0.5})
    found = view.score_latents(latents, conditioning)
    torch.testing.assert_close(found, expected)
    assert torch.equal(view.normalize(found), found)
    assert torch.equal(view.main_among(every), found) and view.head is model.head
    read = LatentRewardModel.from_pretrained(f"{folder}?score=alignment:0.7,quality:-0.5")
    torch.testing.assert_close(read.score_latents(latents, conditioning), found, atol=1e-5, rtol=1e-4)
    (whole,) = torch.autograd.grad(view.score_latents(latents.requires_grad_(), conditioning).sum(), latents)
    assert whole.abs().max() > 0
    with pytest.raises(ValueError, match="win probability of a weighted sum"):
        view.win_probability(some_images(1), some_images(1, seed=1), "a red cube")
    with pytest.raises(ValueError, match="save_pretrained: a weighted sum"):
        view.save_pretrained(folder.parent / "sum")
    for text, told in (("beauty:1,quality:1", "'beauty'; accepted"), ("quality:1,quality:2", "each name once")):
        with pytest.raises(ValueError, match=told):
            LatentRewardModel.from_pretrained(f"{folder}?score={text}")


def test_a_model_of_one_score_is_as_it_was(tiny_folder, tmp_path):
    one = tiny_reward_model(tiny_folder)
    assert one.config.names == ("score",) and one.head.count == 1
    latents, conditioning = some_latents(2), some_conditioning(2)
    assert list(one.latent_scores(latents, conditioning)) == ["score"]
    one.save_pretrained(tmp_path / "model")
    values = json.loads((tmp_path / "model" / "config.json").read_text())
    for later in ("scores", "main_score", "other_scales"):  # as an earlier version wrote it
        del values[later]
    read = RewardModelConfig.from_dict(values)
    assert read == one.config and read.to_dict() == one.config.to_dict()
    with pytest.raises(ValueError, match="'quality'; accepted: score"):
        LatentRewardModel.from_pretrained(f"{tmp_path / 'model'}?score=quality")


def test_what_cannot_be_is_refused(tiny_folder):
    for scores, told in (
        (("a", "a"), "'a' is there twice"),
        (("a b",), "called 'a b'"),
        (("1",), "accepted: a letter"),
        (tuple(f"s{n}" for n in range(33)), "33 scores; accepted: at most 32"),
    ):
        with pytest.raises(ValueError, match=told):
            tiny_config(tiny_folder, scores=scores)
    with pytest.raises(ValueError, match=r"main_score: 'c'; accepted: a, b"):
        tiny_config(tiny_folder, scores=("a", "b"), main_score="c")
    with pytest.raises(ValueError, match=r"other_scales: 'a'; accepted: b"):
        tiny_config(tiny_folder, scores=("a", "b"), other_scales={"a": ScoreScale()})
    with pytest.raises(ValueError, match="2 scores of pooled maps"):
        LatentRewardModel.build(tiny_config(tiny_folder, scores=("a", "b"), head=PooledConfig()))
