"""The generator that a command names, ready to sample or to learn."""

from __future__ import annotations

import logging
from pathlib import Path

from dina_lrm.backbones.generator_folder import generator_folder
from dina_lrm.backbones.pipeline_folder import load_pipeline
from dina_lrm.backbones.t5 import without_t5
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.locate import BUNDLED, BUNDLED_LORAS
from dina_lrm.precision import compute_dtype
from dina_lrm.synthetic.world import bundled_pipeline
from dina_lrm.typed import DinaError

_log = logging.getLogger(__name__)


def loaded_generator(settings: GeneratorSettings, device: str, seed: int = 0) -> Generator:
    """A bundled generator, or a pipeline of diffusers by folder or hub id, with a fresh LoRA drawn from `seed`.

    ValueError for a bundled generator that has a LoRA, and another LoRA beneath.
    """
    dtype = compute_dtype(settings.precision, device)
    own = Path(settings.lora).expanduser() if settings.lora is not None else None
    pretrained, beneath = BUNDLED_LORAS.get(settings.pretrained, (settings.pretrained, own))
    if own is not None and beneath is not own:
        raise DinaError(f"generator.lora {own}: {settings.pretrained} is {pretrained} with a LoRA; accepted: one LoRA")
    _log.debug("%s: to be sampled, in %s on %s", pretrained, dtype, device)
    if pretrained in BUNDLED:
        pipeline = bundled_pipeline(pretrained, dtype)
    else:
        folder = generator_folder(pretrained)
        pipeline = load_pipeline(folder, dtype, {} if settings.prompt_length else without_t5(folder))
    return Generator(
        pipeline.to(device),
        settings.resolution,
        settings.rank,
        settings.alpha,
        settings.prompt_length,
        settings.guidance,
        seed,
        beneath,
        settings.gradient_checkpointing,
    )
