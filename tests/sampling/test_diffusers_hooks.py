"""The reward in a loop of one's own: what is recorded while a pipeline samples, and a loss with a gradient."""

import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler

from dina_lrm import LatentRewardModel, RewardTrace, reward_loss
from dina_lrm.backbones.latents import unpacked
from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.generators.schedule import sampling_levels
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.synthetic.world import bundled_pipeline
from tests.models import randomised

PROMPTS = ["a small red ring on white", "two large blue bars on black"]
STEPS = 4


def unet_model(pipeline=None):
    backbone = BackboneConfig("stable-diffusion", "synthetic-unet", 3, (1, 2, 3), (0,))
    config = RewardModelConfig(
        backbone, QFormerConfig(width=160, attention_heads=5), LoraSettings(2, 4.0), resolution=32, noise_level=0.06
    )
    return randomised(LatentRewardModel.build(config, pipeline=pipeline)).eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["synthetic", "synthetic-unet"])
def pair(request):
    """A pipeline, and a reward model that shares its weights."""
    pipeline = bundled_pipeline(request.param)
    if request.param == "synthetic":
        return pipeline, LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline)
    return pipeline, unet_model(pipeline)


@pytest.fixture(scope="module")
def unet_pair():
    pipeline = bundled_pipeline("synthetic-unet")
    return pipeline, unet_model(pipeline)


class Keeping:
    """Hands on to a trace, and keeps the latents of every step."""

    def __init__(self, trace):
        self.trace, self.latents = trace, []

    def __call__(self, pipeline, step, timestep, kwargs):
        self.latents.append(kwargs["latents"].clone())
        return self.trace(pipeline, step, timestep, kwargs)


def sampled(pipeline, prompts=PROMPTS, callback=None, images=1, output="latent"):
    own = {"max_sequence_length": 0} if "transformer" in pipeline.components else {}
    return pipeline(
        list(prompts), num_inference_steps=STEPS, guidance_scale=3.0, height=32, width=32, output_type=output,
        num_images_per_prompt=images, generator=torch.Generator().manual_seed(0), callback_on_step_end=callback, **own,
    ).images  # fmt: skip


def test_generation_is_the_same_to_the_bit_with_and_without(pair):
    pipeline, model = pair
    trace = RewardTrace(model, PROMPTS)
    assert torch.equal(sampled(pipeline), sampled(pipeline, callback=trace))
    assert trace.scores.shape == (STEPS, 2) and bool(trace.scores.isfinite().all())


def test_levels_are_those_of_the_scheduler(pair):
    pipeline, model = pair
    trace = RewardTrace(model, PROMPTS)
    sampled(pipeline, callback=trace)
    levels = sampling_levels(pipeline.scheduler, model.process, STEPS, tokens=64)
    torch.testing.assert_close(torch.tensor(trace.levels), levels[1:])
    if isinstance(model.process, RectifiedFlow):
        assert trace.levels == tuple(pipeline.scheduler.sigmas[1:].tolist()) and trace.levels[-1] == 0
    else:
        assert [round(1000 * level) - 1 for level in trace.levels[:-1]] == pipeline.scheduler.timesteps[1:].tolist()
        assert 0 < trace.levels[-1] < trace.levels[-2]  # this scheduler ends at timestep 0


def test_scores_are_those_of_the_states_and_the_last_that_of_the_clean_latents(pair):
    pipeline, model = pair
    kept = Keeping(RewardTrace(model, PROMPTS))
    final = sampled(pipeline, callback=kept)
    conditioning, trace = model.encode_prompts(PROMPTS), kept.trace
    for latents, level, scores in zip(kept.latents, trace.levels, trace.scores, strict=True):
        torch.testing.assert_close(model.score_noisy(latents, level, conditioning), scores)
    torch.testing.assert_close(model.score_latents(final, conditioning, noise_level=0.0), trace.scores[-1])


def test_each_prompt_has_its_pictures_side_by_side(pair):
    pipeline, model = pair
    trace = RewardTrace(model, PROMPTS)
    final = sampled(pipeline, callback=trace, images=2)
    conditioning = model.encode_prompts([PROMPTS[0], PROMPTS[0], PROMPTS[1], PROMPTS[1]])
    torch.testing.assert_close(model.score_latents(final, conditioning, noise_level=0.0), trace.scores[-1])
    swapped = model.encode_prompts([PROMPTS[0], PROMPTS[1]] * 2)
    assert not torch.allclose(model.score_latents(final, swapped, noise_level=0.0), trace.scores[-1])


def test_a_new_call_begins_a_new_trace(pair):
    pipeline, model = pair
    trace = RewardTrace(model, PROMPTS[0])
    sampled(pipeline, PROMPTS[:1], trace)
    first = trace.scores
    sampled(pipeline, PROMPTS[:1], trace)
    assert torch.equal(trace.scores, first)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_samplers_that_do_not_keep_the_variance_are_read_at_the_right_scale(unet_pair):
    pipeline, model = unet_pair
    own = pipeline.scheduler
    try:
        pipeline.scheduler = EulerDiscreteScheduler.from_config(own.config)
        kept = Keeping(RewardTrace(model, PROMPTS))
        plain, traced = sampled(pipeline), sampled(pipeline, callback=kept)
        assert torch.equal(plain, traced)
        conditioning, sigmas = model.encode_prompts(PROMPTS), pipeline.scheduler.sigmas[1:]
        for latents, sigma, level, scores in zip(
            kept.latents, sigmas, kept.trace.levels, kept.trace.scores, strict=True
        ):
            state = latents / (sigma**2 + 1).sqrt()
            torch.testing.assert_close(model.score_noisy(state, level, conditioning), scores)
            alpha = float(model.process.alpha(level))
            assert alpha == pytest.approx(float(1 / (sigma**2 + 1).sqrt()), abs=0.01)
        pipeline.scheduler = DDPMScheduler.from_config(own.config)
        sampled(pipeline, callback=kept.trace)
        assert len(kept.trace.levels) == STEPS
        pipeline.scheduler = HeunDiscreteScheduler.from_config(own.config)
        sampled(pipeline, callback=kept.trace)
        assert len(kept.trace.levels) == 2 * STEPS - 1
    finally:
        pipeline.scheduler = own


def test_what_cannot_be_scored_is_refused(pair, unet_pair):
    pipeline, model = pair
    trace = RewardTrace(model, PROMPTS)
    with pytest.raises(ValueError, match="nothing recorded"):
        _ = trace.scores
    with pytest.raises(ValueError, match="3 latents for 2 prompts"):
        sampled(pipeline, [*PROMPTS, "a cross"], trace)
    timestep = pipeline.scheduler.timesteps[0]
    with pytest.raises(ValueError, match=r"got prompt_embeds; accepted: .* with 'latents'"):
        trace(pipeline, 0, timestep, {"prompt_embeds": torch.zeros(1)})
    packed = torch.zeros(2, 64, 64)
    with pytest.raises(ValueError, match="which are packed; accepted: unpack="):
        trace(pipeline, 0, timestep, {"latents": packed})
    if isinstance(model.process, RectifiedFlow):
        with pytest.raises(ValueError, match="DDIMScheduler is not of the reward model's process"):
            sampled(unet_pair[0], callback=trace)
        asked = RewardTrace(model, PROMPTS, unpack=lambda tokens: unpacked(tokens, 16, 16))
        assert asked(pipeline, 0, timestep, {"latents": packed})["latents"] is packed and len(asked.levels) == 1


def test_the_loss_falls_along_its_gradient_and_is_minus_the_reward(pair):
    pipeline, model = pair
    latents = sampled(pipeline).float().requires_grad_()
    loss = reward_loss(model, latents, PROMPTS)
    loss.backward()
    assert latents.grad.abs().sum(dim=(1, 2, 3)).min() > 0
    with torch.no_grad():
        scores = model.score_latents(latents, model.encode_prompts(PROMPTS))
        assert loss.item() == pytest.approx(-model.normalize(scores).mean().item(), rel=1e-5)
        moved = latents - 1e-2 * latents.grad / latents.grad.norm()
        assert reward_loss(model, moved, model.encode_prompts(PROMPTS)) < loss
        relu = reward_loss(model, latents, PROMPTS, shaping="relu")
        assert relu.item() == pytest.approx((2 - model.normalize(scores)).clamp(min=0).mean().item(), rel=1e-5)
        assert reward_loss(model, latents, PROMPTS, seed=1) != loss
    assert all(parameter.grad is None for parameter in model.parameters())
