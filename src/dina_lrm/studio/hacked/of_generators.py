"""A generator and what it was tuned to, a LoRA or another one: drawn from, judged and measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dina_lrm.evaluation.generators.plan import GeneratorEvaluation, GeneratorPlan
from dina_lrm.evaluation.generators.values import paired
from dina_lrm.generators.settings import BUNDLED_GENERATOR
from dina_lrm.pictures.spectrum import TextureSpectrum, texture_spectrum
from dina_lrm.runs.progress import TitledProgress, silent
from dina_lrm.sampling.tuned import lora_file, tuning_run
from dina_lrm.studio.hacked.sides import Sides
from dina_lrm.typed import DinaError


def sides_of_generators(plan: GeneratorPlan, folder: Path, progress: TitledProgress = silent) -> Sides:
    """Draw both sides as a plan says, keeping the pictures in `folder`, judge and measure them.

    The rewards of the tuning are known where the LoRA lies in the folder of its run. Raises ValueError as the plan
    does, and where a side has no picture at all.
    """
    found = plan.run(folder, progress)
    side = found.without_pictures
    if side is not None:
        raise DinaError(f"none of the pictures of the {side} generator is finite: nothing can be judged")
    roles = {each.name: each.role for each in found.result.comparisons if each.kind == "reward"}
    values = paired(found.measured["base"], found.measured["tuned"], found.pictures, roles)
    count = found.pictures.images
    return Sides(
        base=plan.base,
        tuned=plan.tuned,
        names=tuple(
            f"{prompt + 1}.{image + 1}" for prompt in range(len(plan.prompts.prompts)) for image in range(count)
        ),
        prompts=tuple(prompt for prompt in found.pictures.prompts for _ in range(count)),
        values=tuple(each for each in values if each.kind != "attribute"),
        spectra=(_spectrum(found, "base"), _spectrum(found, "tuned")),
        pictures=lambda pair: (_picture(found, "base", pair), _picture(found, "tuned", pair)),
        optimised=found.result.optimised,
        notes=found.result.notes,
        settings=found.result.settings,
        per_prompt=count,
    )


def base_of(tuned: str) -> str:
    """The generator that a run tuned, by its name; that of the bundled world where no run is known.

    Raises ValueError for a run that has not ended.
    """
    lora = lora_file(tuned)
    run = None if lora is None else tuning_run(lora)
    return BUNDLED_GENERATOR.pretrained if run is None else run.generator.pretrained


def _spectrum(found: GeneratorEvaluation, side: str) -> TextureSpectrum:
    blocks = (found.stored[side].read(block) for block in found.pictures.blocks())
    return TextureSpectrum.mean(
        [texture_spectrum(drawn.images[drawn.finite]) for drawn in blocks if drawn.finite.any()]
    )


def _picture(found: GeneratorEvaluation, side: str, pair: int) -> NDArray[np.uint8]:
    prompt, image = divmod(pair, found.pictures.images)
    block = next(block for block in found.pictures.blocks() if prompt in block)
    return found.stored[side].read(block).images[(prompt - block.start) * found.pictures.images + image]
