"""Sampling is that of each family's own pipeline: the same noise and prompt end at the same latents, guided or not."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from dina_lrm.generators.generator import Generator
from tests.backbones.case import unpacked
from tests.backbones.families import FAMILY_CASES

PROMPT, STEPS, SIDE = "a red cube", 4, 64
PACKED = ("flux", "qwen-image")


def own_latents(case: Any, pipeline: Any, noise: Tensor, guidance: float) -> Tensor:
    """As a user of the pipeline gets them; `guidance` is the scale of Ho and Salimans, 1 = none."""
    family, length = case.config.family, case.config.prompt_length
    given = {
        "sd3": {"guidance_scale": guidance, "max_sequence_length": length},
        # Its guidance_scale is an input of the model, 3.5 unless told otherwise
        "flux": {"true_cfg_scale": guidance, "negative_prompt": "", "max_sequence_length": length},
        "qwen-image": {"true_cfg_scale": guidance, "negative_prompt": "", "max_sequence_length": length},
        # Which counts from 0, and has no negative scale
        "z-image": {"guidance_scale": max(guidance - 1, 0.0), "max_sequence_length": length},
        "sana": {"guidance_scale": guidance, "max_sequence_length": length, "use_resolution_binning": False},
        "stable-diffusion": {"guidance_scale": guidance},
    }[family]
    latents = type(pipeline)._pack_latents(noise, *noise.shape) if family in PACKED else noise
    images = pipeline(
        PROMPT, latents=latents, num_inference_steps=STEPS, output_type="latent", height=SIDE, width=SIDE, **given
    ).images
    return unpacked(images, noise) if family in PACKED else images


def a_pipeline(case: Any) -> Any:
    """With a scheduler of first order, whose step is that of the ODE."""
    pipeline = case.pipeline()
    if case.config.family == "stable-diffusion":
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    return pipeline


@pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0, 5.0])
@pytest.mark.parametrize("case", FAMILY_CASES, ids=lambda case: case.name)
def test_the_same_noise_ends_at_the_latents_of_the_familys_own_pipeline(case, guidance):
    pipeline = a_pipeline(case)
    generator = Generator(pipeline, SIDE, 1, 1.0, case.config.prompt_length, guidance)
    noise = generator.noise([3])
    with generator.reference():
        found = generator.denoise(noise, generator.encode_prompts([PROMPT]), generator.levels(STEPS))
    torch.testing.assert_close(found, own_latents(case, a_pipeline(case), noise, guidance), atol=2e-4, rtol=1e-3)
