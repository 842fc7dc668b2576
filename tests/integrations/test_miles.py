"""A reward of miles_diffusion: samples of microgroups and of groups, and what is no clean latent is refused."""

import asyncio
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from dina_lrm.backbones.latents import packed
from dina_lrm.integrations.miles import reward
from tests.integrations.trainers.miles_like import Sample, Trajectory, rewarded

PROMPTS = ["a small red ring on white", "two large blue bars on black", "a cross", "one ring"]
SIGMAS = torch.tensor([1.0, 0.8, 0.3, 0.0])


@pytest.fixture
def args(monkeypatch):
    """Arguments that name a function in a module, which is given by `use`."""
    module = ModuleType("dina_miles")
    monkeypatch.setitem(sys.modules, "dina_miles", module)

    def use(**settings):
        module.score = reward(**{"noise_level": 0.4, "device": "cpu", **settings})
        return SimpleNamespace(custom_rm_path="dina_miles.score")

    return use


@pytest.fixture(scope="module")
def pictures():
    return torch.rand(4, 3, 1, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def latents(model, pictures):
    return model.encode_images(pictures[:, :, 0])


@pytest.fixture
def group(pictures, latents):
    """Samples whose trajectory ends at clean latents; those before are noise."""
    noise = torch.randn(3, *latents.shape[1:], generator=torch.Generator().manual_seed(1))
    return [
        Sample(text, picture, Trajectory(torch.cat([noise, clean[None]]), sigmas=SIGMAS))
        for text, picture, clean in zip(PROMPTS, pictures, latents, strict=True)
    ]


@pytest.fixture(scope="module")
def expected(model, latents):
    return model.score_latents(latents, model.encode_prompts(PROMPTS), 0.4).tolist()


@pytest.mark.parametrize("group_rm", [False, True])
def test_clean_latents_are_scored_alike_in_groups_and_microgroups(args, group, expected, group_rm):
    found = asyncio.run(rewarded(args(), group, group_rm=group_rm))
    assert all(type(each) is float for each in found) and found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "layout",
    [packed, lambda x: packed(x)[:, None], lambda x: x[:, :, None], lambda x: x[:, None]],
    ids=["packed", "packed, batched", "of one frame", "batched"],
)
def test_other_layouts_of_the_same_latents(args, group, expected, layout):
    for sample in group:
        sample.dit_trajectory.latents = layout(sample.dit_trajectory.latents)
    assert asyncio.run(rewarded(args(), group)) == pytest.approx(expected, abs=1e-4)


def test_samples_of_an_evaluation_are_read_as_pictures(args, group, model, pictures):
    for sample in group:
        sample.dit_trajectory = None
    with pytest.warns(UserWarning, match="without a trajectory"):
        found = asyncio.run(rewarded(args(seed=3, max_batch=7), group))
    whole = pictures[:, :, 0].mul(255).round() / 255
    assert found == pytest.approx(model.score(whole, PROMPTS, 0.4, seed=3).tolist(), abs=1e-4)
    assert asyncio.run(rewarded(args(seed=3, reads="pictures"), group)) == pytest.approx(found)
    for sample in group:
        sample.generated_output = sample.generated_output * 255
    assert asyncio.run(rewarded(args(seed=3, reads="pictures"), group)) == pytest.approx(found)


def test_what_is_not_known_to_be_clean_is_refused(args, group):
    group[1].dit_trajectory.sigmas = torch.tensor([1.0, 0.8, 0.5, 0.3])
    with pytest.raises(ValueError, match=r"4 latents with 4 sigmas up to 0.3: .*accepted: as many of both"):
        asyncio.run(rewarded(args(), group))
    group[1].dit_trajectory.sigmas = None
    with pytest.raises(ValueError, match="with no sigmas"):
        asyncio.run(rewarded(args(), group))
    group[1].dit_trajectory.sigmas = SIGMAS[1:]
    with pytest.raises(ValueError, match="4 latents with 3 sigmas"):
        asyncio.run(rewarded(args(), group))


def test_a_video_or_nothing_is_no_picture(args, group):
    group[0].generated_output = torch.zeros(3, 2, 32, 32)
    with pytest.raises(ValueError, match=r"generated_output: shape \(3, 2, 32, 32\); accepted: one picture"):
        asyncio.run(rewarded(args(reads="pictures"), group))
    group[0].generated_output = None
    with pytest.raises(ValueError, match="generated_output: nothing"):
        asyncio.run(rewarded(args(reads="pictures"), group))
    group[0].generated_output = torch.full((3, 1, 32, 32), float("inf"))
    with pytest.raises(ValueError, match=r"floats outside \[0, 1\]"):
        asyncio.run(rewarded(args(reads="pictures"), group))


def test_settings_that_are_none(args):
    with pytest.raises(ValueError, match="noise_level"):
        args(noise_level=2)
