"""How a generator is loaded, sampled and given a LoRA that learns. Nothing here imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from dina_lrm.backbones.anatomy import anatomy_of
from dina_lrm.backbones.settings import PROMPT_LENGTH
from dina_lrm.generators.distilled import few_steps
from dina_lrm.locate import BUNDLED, BUNDLED_LORAS
from dina_lrm.precision import Precision
from dina_lrm.runs.ranges import ABOVE_0, COUNT, COUNT_OR_0, check_ranges, ranged
from dina_lrm.typed import DinaError, require


@dataclass(frozen=True)
class GeneratorSettings:
    """The generator and the LoRA that learns."""

    pretrained: str = "stabilityai/stable-diffusion-3.5-medium"
    """The generator: "synthetic", "synthetic-uncurated", "synthetic-unet", a folder, or a hub id."""
    resolution: int = ranged(1024, COUNT)
    """Side of the square pictures, in pixels."""
    prompt_length: int = ranged(PROMPT_LENGTH, COUNT_OR_0)
    """Tokens of the long text encoder; 0 for a Stable Diffusion 3 without T5."""
    rank: int = ranged(32, COUNT)
    """Rank of the LoRA that learns."""
    alpha: float = ranged(64.0, ABOVE_0)
    """The LoRA is scaled by alpha / rank."""
    sampling_steps: int = 40
    """Steps of the sampler, at least 2."""
    guidance: float = 4.5
    """Scale of the steps without gradient; the step with gradient is conditional alone. Up to 1 there is none, as in
    every pipeline (turbo models are called with 0); Z-Image's own scale counts from 0, and is 1 less. A U-Net
    distilled with its guidance (LCM) is told the scale."""
    lora: str | None = None
    """A LoRA that the generator has already, a file or a folder: it stays as it is, also in the reference, and what
    is learned comes on top."""
    precision: Precision = "auto"
    """What the frozen weights are held in; what learns, and every step of sampling, is float32. auto = bf16 where the
    hardware has it."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass, the generator's and those of latent rewards: less memory, more
    time."""

    def __post_init__(self) -> None:
        check_ranges(self, "generator")
        require(0 <= self.guidance < math.inf, "generator.guidance", self.guidance, "a finite number of at least 0")
        require(self.sampling_steps >= 2, "generator.sampling_steps", self.sampling_steps, "an integer of at least 2")


BUNDLED_GENERATOR: Final = GeneratorSettings(
    "synthetic", 32, 0, rank=16, alpha=32.0, sampling_steps=20, guidance=3.0, precision="fp32"
)
"""How the bundled generators are sampled, and the LoRA that their runs train."""


_FEW: Final = 8
"""Steps of generators that were distilled to few: turbo takes eight, schnell four and loses nothing by eight."""


def usual_settings(name: str, resolution: int | None = None) -> GeneratorSettings:
    """How a generator is sampled where nothing else is said: as the bundled world, or as its folder and family say.

    Steps and guidance are those of the family's pipeline (eight and none of a model whose name says that it was
    distilled to few), side in pixels and prompt length are read from the folder, and the LoRA has the rank of the
    paper, or a tenth of a narrower model's width. `resolution` is for a folder that does not say its own.

    Raises ValueError for a generator of no family that is read, and for one that does not say for which resolution it
    was made.
    """
    if name in {*BUNDLED, *BUNDLED_LORAS}:
        return replace(BUNDLED_GENERATOR, pretrained=name)
    anatomy = anatomy_of(name)
    side, distilled = resolution or anatomy.resolution, few_steps(name) is not None
    if side is None:
        raise DinaError(f"{name} does not say for which image size it was made; give its resolution (PIXELS a side)")
    rank = min(32, max(4, anatomy.width // 10))
    return GeneratorSettings(
        name,
        side,
        anatomy.prompt_length,
        rank=rank,
        alpha=2.0 * rank,
        sampling_steps=_FEW if distilled else anatomy.steps,
        guidance=1.0 if distilled else anatomy.guidance,
    )


def as_asked(settings: GeneratorSettings, **asked: Any) -> GeneratorSettings:  # noqa: ANN401 - values of its fields
    """The settings with what was asked for in the place of their own; None asks for nothing."""
    return replace(settings, **{name: value for name, value in asked.items() if value is not None})
