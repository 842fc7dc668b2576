"""The callbacks in the own pipeline of each family, on pictures that are not square, with guidance and without."""

import pytest
import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback

from dina_lrm import LatentRewardModel, RewardSteering, RewardTrace
from dina_lrm.backbones.latents import unpacked
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.sampling.guidance import RewardGuidance
from tests.backbones.families import ONE_OF_EACH, SETTINGS
from tests.models import randomised

PROMPT = "a red cube"
STEPS, HEIGHT, WIDTH = 3, 32, 64


@pytest.fixture(scope="module", params=ONE_OF_EACH, ids=lambda case: case.config.family)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def pair(case):
    """A pipeline, and a reward model that shares its weights."""
    pipeline = case.pipeline()
    head = QFormerConfig(width=16, attention_heads=4, mask_text_padding=case.masked)
    config = RewardModelConfig(case.config, head, SETTINGS, resolution=32)
    return pipeline, randomised(LatentRewardModel.build(config, pipeline=pipeline)).eval().requires_grad_(False)


def sampled(case, pipeline, callback=None, guidance=3.0, steps=STEPS):
    """The latents of the pipeline's own call, as (batch, channels, height, width)."""
    length = case.config.prompt_length
    given = {
        "sd3": {"guidance_scale": guidance, "max_sequence_length": length},
        "flux": {"true_cfg_scale": guidance, "negative_prompt": "", "max_sequence_length": length},
        "qwen-image": {"true_cfg_scale": guidance, "negative_prompt": "", "max_sequence_length": length},
        "z-image": {"guidance_scale": max(guidance - 1, 0.0), "max_sequence_length": length},
        "sana": {"guidance_scale": guidance, "max_sequence_length": length, "use_resolution_binning": False},
        "stable-diffusion": {"guidance_scale": guidance},
    }[case.config.family]
    latents = pipeline(
        PROMPT, num_inference_steps=steps, output_type="latent", height=HEIGHT, width=WIDTH, **given,
        generator=torch.Generator().manual_seed(0), callback_on_step_end=callback,
    ).images  # fmt: skip
    factor = 4 if case.config.family != "stable-diffusion" else pipeline.vae_scale_factor
    return latents if latents.ndim == 4 else unpacked(latents, HEIGHT // factor, WIDTH // factor)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_trace_needs_nothing_but_model_and_prompt_and_changes_nothing(case, pair, guidance):
    pipeline, model = pair
    trace = RewardTrace(model, PROMPT)
    plain = sampled(case, pipeline, guidance=guidance)
    assert torch.equal(sampled(case, pipeline, trace, guidance), plain)
    assert trace.scores.shape == (len(trace.levels), 1) and len(trace.levels) >= STEPS
    told = model.encode_prompts(PROMPT)
    torch.testing.assert_close(model.score_noisy(plain.float(), trace.levels[-1], told), trace.scores[-1])


def test_the_first_step_too_is_scored_by_the_size_that_the_pipeline_tells(case, pair):
    pipeline, model = pair
    told, by_itself = RewardTrace(model, PROMPT, size=(HEIGHT, WIDTH)), RewardTrace(model, PROMPT)
    sampled(case, pipeline, MultiPipelineCallbacks([told, by_itself]))
    assert isinstance(told, PipelineCallback)
    assert torch.equal(told.scores, by_itself.scores) and told.levels == by_itself.levels
    assert not pipeline.components[case.component]._forward_pre_hooks


def test_the_models_own_conditioning_stands_for_the_prompt(case, pair):
    pipeline, model = pair
    by_words, encoded = RewardTrace(model, PROMPT), RewardTrace(model, model.encode_prompts(PROMPT))
    sampled(case, pipeline, MultiPipelineCallbacks([by_words, encoded]))
    assert torch.equal(by_words.scores, encoded.scores)


def test_one_step_of_packed_latents_needs_the_size(case, pair):
    pipeline, model = pair
    trace = RewardTrace(model, PROMPT)
    sampled(case, pipeline, trace, steps=1)
    if model.backbone.sampling.packs:
        with pytest.raises(ValueError, match=r"a single step does not tell their size; accepted: size="):
            _ = trace.scores
        trace = RewardTrace(model, PROMPT, size=(HEIGHT, WIDTH))
        sampled(case, pipeline, trace, steps=1)
    assert len(trace.scores) == 1


def test_a_wrong_size_is_refused(case, pair):
    pipeline, model = pair
    with pytest.raises(ValueError, match=r"size \(30, 64\); accepted: \(height, width\) in pixels, multiples of"):
        RewardTrace(model, PROMPT, size=(30, 64))
    if model.backbone.sampling.packs:
        with pytest.raises(ValueError, match="tokens and channels are no picture of"):
            sampled(case, pipeline, RewardTrace(model, PROMPT, size=(HEIGHT, HEIGHT)))


def test_steering_raises_the_reward_of_every_step_and_little_strength_is_little(case, pair):
    pipeline, model = pair
    size = (HEIGHT, WIDTH)

    def steered(strength):
        before, after = (RewardTrace(model, PROMPT, size=size) for _ in range(2))
        steering = RewardSteering(model, PROMPT, RewardGuidance(strength, highest=1.0), size)
        latents = sampled(case, pipeline, MultiPipelineCallbacks([before, steering, after]))
        return latents, (after.scores - before.scores)[:-1]

    plain = sampled(case, pipeline)
    moved, gained = steered(0.01)
    assert bool((gained > 0).all()) and not torch.equal(moved, plain)
    torch.testing.assert_close(steered(1e-6)[0], plain, atol=1e-3, rtol=1e-3)
