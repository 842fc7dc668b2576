"""The bundled generators: loading them, and drawing pictures with them."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline
from diffusers.loaders.lora_base import LORA_WEIGHT_NAME_SAFE
from numpy.typing import NDArray

from dina_lrm.backbones.pipeline_folder import load_pipeline
from dina_lrm.backbones.t5 import without_t5
from dina_lrm.locate import BUNDLED_LORAS, locate_generator
from dina_lrm.synthetic.comparisons import TEST_IMAGES
from dina_lrm.synthetic.generated import PROMPTS, SEED, generated_prompts
from dina_lrm.typed import DinaError

SAMPLING_STEPS = 20
GUIDANCE = 3.0

SyntheticPipeline: TypeAlias = StableDiffusion3Pipeline | StableDiffusionPipeline
"""The first generator, or the U-Net."""


def bundled_pipeline(name: str = "synthetic", dtype: torch.dtype = torch.float32) -> SyntheticPipeline:
    """A bundled pipeline (or another of its make, by folder), ready to sample; the first has no T5 encoder.

    "synthetic-uncurated" is "synthetic" with a LoRA in use, the adapter "uncurated".
    """
    if name in BUNDLED_LORAS:
        base, lora = BUNDLED_LORAS[name]
        pipeline = bundled_pipeline(base, dtype)
        pipeline.load_lora_weights(lora, weight_name=LORA_WEIGHT_NAME_SAFE, adapter_name=lora.name)
        return pipeline
    folder = locate_generator(name)
    plain: SyntheticPipeline = load_pipeline(folder, dtype, without_t5(folder))
    plain.set_progress_bar_config(disable=True)
    return plain


@torch.inference_mode()
def sample_images(
    pipeline: SyntheticPipeline,
    captions: Sequence[str],
    seeds: Sequence[int],
    steps: int = SAMPLING_STEPS,
    guidance: float = GUIDANCE,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """(n, 32, 32, 3) pictures, one for each caption and seed; a picture depends on its own caption and seed alone."""
    if len(captions) != len(seeds):
        raise DinaError(f"sample_images: {len(captions)} captions and {len(seeds)} seeds; give one seed a caption")
    # A third encoder that is absent would still be padded to one token
    own = {"max_sequence_length": 0} if isinstance(pipeline, StableDiffusion3Pipeline) else {}
    out = []
    for start in range(0, len(captions), batch_size):
        part = slice(start, start + batch_size)
        images = pipeline(
            prompt=list(captions[part]),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[part]],
            height=pipeline.vae.config.sample_size,
            width=pipeline.vae.config.sample_size,
            output_type="np",
            **own,
        ).images
        out.append(np.round(images * 255).astype(np.uint8))
        if progress is not None:
            progress(min(start + batch_size, len(captions)), len(captions))
    return np.concatenate(out)


def draw_generated(
    pipeline: StableDiffusion3Pipeline, prompts: int = PROMPTS, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.uint8]:
    """The pictures of the first `prompts` prompts of the set `generated`, three each, from their seeds."""
    captions = [prompt.caption() for prompt in generated_prompts(prompts) for _ in range(TEST_IMAGES)]
    return sample_images(pipeline, captions, [SEED + n for n in range(len(captions))], progress=progress)
