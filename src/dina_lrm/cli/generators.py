"""The generator that a command names, ready to sample or to learn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dina_lrm.alignment.config import GeneratorSettings
    from dina_lrm.alignment.generator import Generator


def usual_settings(name: str) -> GeneratorSettings:
    """How a generator is sampled where nothing else is said: as the bundled world, or as Stable Diffusion 3.5 is."""
    from dina_lrm.alignment.config import GeneratorSettings
    from dina_lrm.locate import BUNDLED
    from dina_lrm.recipes.alignment import BUNDLED_GENERATOR

    return replace(BUNDLED_GENERATOR if name in BUNDLED else GeneratorSettings(), pretrained=name)


def as_asked(settings: GeneratorSettings, **asked: Any) -> GeneratorSettings:  # noqa: ANN401 - values of its fields
    """The settings with what was asked for in the place of their own; None asks for nothing."""
    return replace(settings, **{name: value for name, value in asked.items() if value is not None})


def loaded_generator(settings: GeneratorSettings, device: str, seed: int = 0) -> Generator:
    """A bundled generator, or a pipeline of diffusers by folder or hub id, with a fresh LoRA drawn from `seed`."""
    from diffusers import DiffusionPipeline

    from dina_lrm.alignment.generator import Generator
    from dina_lrm.locate import BUNDLED, locate_generator

    if settings.pretrained in BUNDLED:
        from dina_lrm.synthetic.world import bundled_pipeline

        pipeline = bundled_pipeline(settings.pretrained)
    else:
        absent = {} if settings.prompt_length else {"text_encoder_3": None, "tokenizer_3": None}
        pipeline = DiffusionPipeline.from_pretrained(locate_generator(settings.pretrained), **absent)
    return Generator(
        pipeline.to(device),
        settings.resolution,
        settings.rank,
        settings.alpha,
        settings.prompt_length,
        settings.guidance,
        seed,
    )
