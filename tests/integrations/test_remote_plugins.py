"""Every plug-in with its reward on a server: the scores are those of a model of the process."""

import asyncio

import pytest
import torch

from dina_lrm import LatentRewardModel, RewardSteering, RewardTrace
from dina_lrm.integrations.flow_grpo import with_row
from dina_lrm.integrations.miles import reward as miles_reward
from dina_lrm.integrations.trl import picture_reward, text_reward
from dina_lrm.rewards.remote import RemoteReward
from dina_lrm.synthetic.world import bundled_pipeline
from tests.integrations.trainers.miles_like import Sample, Trajectory
from tests.serving.servers import running

PROMPTS = ["a small red ring on white", "two large blue bars on black"]


def nothing_else(device, table):
    """A table without other rows, which nobody asks then."""
    raise AssertionError


@pytest.fixture(scope="module")
def remote(warm_programs):
    with running(warm_programs / "dina-lrm", "--model", "dina=synthetic", "sharp=sharpness") as (address, _):
        yield f"remote:{address}/dina"


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def latents(model, images):
    return model.encode_images(images)


@pytest.mark.parametrize("given", ["pictures", "latents", "latents and embeddings"])
def test_flow_grpo(remote, model, images, latents, given):
    told = model.encode_prompts(PROMPTS)
    more = {
        "pictures": {},
        "latents": {"latents": latents},
        "latents and embeddings": {
            "latents": latents,
            "told": (told.prompt_embeds, told.pooled_prompt_embeds, told.prompt_mask),
        },
    }[given]
    for levels in ((0.3,), (0.2, 0.7)):
        found, here = (
            with_row(nothing_else, "dina", where, levels, seed=2)("cpu", {"dina": 1.0})(images, PROMPTS, None, **more)
            for where in (remote, "synthetic")
        )
        assert found[0]["avg"] == pytest.approx(here[0]["avg"], abs=1e-4)


def test_miles_diffusion(remote, latents, images):
    samples = [
        Sample(text, picture[:, None], Trajectory(clean[None], sigmas=torch.zeros(1)))
        for text, picture, clean in zip(PROMPTS, images, latents, strict=True)
    ]
    for reads in ("latents", "pictures"):
        there, here = (
            asyncio.run(miles_reward(where, noise_level=0.4, reads=reads, device="cpu")(None, samples))
            for where in (remote, "synthetic")
        )
        assert there == pytest.approx(here, abs=1e-4)


def test_texts(remote, images):
    from PIL import Image

    pictures = [Image.fromarray((one.permute(1, 2, 0) * 255).byte().numpy()) for one in images]
    for settings in ({"draw": "synthetic", "steps": 2}, {"caption_of": "image"}):
        there, here = (
            text_reward(where, noise_level=0.4, device="cpu", **settings)(
                prompts=PROMPTS, completions=[PROMPTS[1], ""], image=pictures
            )
            for where in (remote, "synthetic")
        )
        assert there[1] is here[1] is None and there[0] == pytest.approx(here[0], abs=1e-4)


def test_pictures(remote, images):
    whole = images.mul(255).round() / 255
    (there, _), (here, _) = (picture_reward(where)(whole, PROMPTS, [{}] * 2) for where in (remote, "synthetic"))
    torch.testing.assert_close(there, here, atol=1e-4, rtol=1e-4)


def test_a_trace_and_no_steering(remote):
    pipeline, reward = bundled_pipeline(), RemoteReward.load(remote.removeprefix("remote:"))
    model = LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline)
    traces = [
        RewardTrace(reward, PROMPTS),
        RewardTrace(reward, model.encode_prompts(PROMPTS)),
        RewardTrace(model, PROMPTS),
    ]
    for trace in traces:
        pipeline(
            PROMPTS, num_inference_steps=3, height=32, width=32, max_sequence_length=0, output_type="latent",
            generator=torch.Generator().manual_seed(0), callback_on_step_end=trace,
        )  # fmt: skip
    for trace in traces[:2]:
        assert trace.levels == traces[2].levels
        torch.testing.assert_close(trace.scores, traces[2].scores, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match=r"remote:http\S+ has no gradient; accepted: a reward model"):
        RewardSteering(reward, PROMPTS)
    with pytest.raises(ValueError, match="reads the family 'sd3'; accepted: not 'stable-diffusion'"):
        RewardTrace(reward, PROMPTS[0])(bundled_pipeline("synthetic-unet"), 0, 0, {"latents": torch.zeros(1, 4, 8, 8)})
