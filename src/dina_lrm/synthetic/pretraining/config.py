"""The recipes of the bundled generators, as plain values: 50 minutes on two CPU cores with bfloat16 instructions."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from dina_lrm.runs.ranges import (
    ABOVE_0,
    COUNT,
    COUNT_OR_0,
    NOT_NEGATIVE,
    SEED,
    UNIT,
    UNIT_BELOW_1,
    check_ranges,
    ranged,
)
from dina_lrm.typed import require

Architecture = Literal["sd3", "unet"]
"""The flow transformer, or the variance-preserving U-Net."""


@dataclass(frozen=True)
class VaeConfig:
    """Autoencoder: mean squared error, a small KL term, AdamW with a cosine schedule."""

    images: int = ranged(16_000, COUNT)
    """Pictures that are trained on."""
    steps: int = ranged(2_200, COUNT)
    """Optimiser steps."""
    batch_size: int = ranged(32, COUNT)
    """Pictures a step."""
    learning_rate: float = ranged(2e-3, ABOVE_0)
    """Peak of the cosine schedule."""
    kl_weight: float = ranged(1e-5, NOT_NEGATIVE)
    """Weight of the KL to a standard normal."""
    held_out: int = ranged(2_000, COUNT)
    """Pictures that the PSNR is measured on."""

    def __post_init__(self) -> None:
        check_ranges(self, "config.vae")
        _check_batch("config.vae", self.batch_size, self.images)


@dataclass(frozen=True)
class GeneratorConfig:
    """Rectified flow with logit-normal times; prompts are dropped for classifier-free guidance."""

    where: ClassVar[str] = "config.generator"
    images: int = ranged(160_000, COUNT)
    """Pictures that are trained on."""
    steps: int = ranged(12_000, COUNT)
    """Optimiser steps."""
    batch_size: int = ranged(64, COUNT)
    """Pictures a step."""
    learning_rate: float = ranged(1.2e-3, ABOVE_0)
    """Peak of the cosine schedule."""
    warmup: int = ranged(200, COUNT_OR_0)
    """Steps over which the learning rate rises from 0."""
    ema: float = ranged(0.999, UNIT_BELOW_1)
    """What is kept of the averaged weights at each step."""
    prompt_dropout: float = ranged(0.1, UNIT)
    """Share of prompts that are left empty, for classifier-free guidance."""
    mismatched: float = ranged(0.0, UNIT)
    """Share of training pictures that disagree with their caption in one way."""
    damaged: float = ranged(0.1, UNIT)
    """Share of training pictures with a defect."""

    def __post_init__(self) -> None:
        check_ranges(self, self.where)
        _check_batch(self.where, self.batch_size, self.images)


@dataclass(frozen=True)
class UnetConfig(GeneratorConfig):
    """Prediction of the noise at timesteps drawn uniformly (Ho et al., 2020); autoencoder and data are the world's."""

    where = "config.unet"
    images: int = ranged(48_000, COUNT)
    """Pictures that are trained on."""
    steps: int = ranged(6_000, COUNT)
    """Optimiser steps."""
    batch_size: int = ranged(32, COUNT)
    """Pictures a step."""
    learning_rate: float = ranged(1e-3, ABOVE_0)
    """Peak of the cosine schedule."""
    warmup: int = ranged(200, COUNT_OR_0)
    """Steps over which the learning rate rises from 0."""


@dataclass(frozen=True)
class PretrainConfig:
    """The complete recipe; `checkpoint_seconds` is how often the state is written.

    `vae` and `generator` are of the first architecture; `unet` is of the second, which trains no autoencoder.
    """

    seed: int = ranged(0, SEED)
    """Decides pictures, start and noise."""
    architecture: Architecture = "sd3"
    """sd3: autoencoder and flow transformer; unet: the noise-predicting U-Net on the bundled autoencoder."""
    vae: VaeConfig = field(default_factory=VaeConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    unet: UnetConfig = field(default_factory=UnetConfig)
    compile: bool = True
    """Compile the networks, where the machine can."""
    checkpoint_seconds: float = ranged(60.0, NOT_NEGATIVE)
    """Seconds between two states that are written."""

    def __post_init__(self) -> None:
        check_ranges(self, "config")


@dataclass(frozen=True)
class UncuratedConfig:
    """What the LoRA is and learns from; `mismatched` and `damaged` are shares of the pictures."""

    images: int = ranged(24_000, COUNT)
    """Pictures that are trained on."""
    steps: int = ranged(700, COUNT)
    """Optimiser steps."""
    batch_size: int = ranged(64, COUNT)
    """Pictures a step."""
    learning_rate: float = ranged(2e-3, ABOVE_0)
    """Peak of the cosine schedule."""
    warmup: int = ranged(50, COUNT_OR_0)
    """Steps over which the learning rate rises from 0."""
    rank: int = ranged(16, COUNT)
    """Rank of the LoRA."""
    prompt_dropout: float = ranged(0.1, UNIT)
    """Share of prompts that are left empty, for classifier-free guidance."""
    mismatched: float = ranged(0.2, UNIT)
    """Share of pictures that disagree with their caption in one way."""
    damaged: float = ranged(0.85, UNIT)
    """Share of pictures with a defect."""

    def __post_init__(self) -> None:
        check_ranges(self, "config")
        _check_batch("config", self.batch_size, self.images)


def _check_batch(where: str, batch_size: int, images: int) -> None:
    """An epoch has at least one batch, or none would ever come."""
    require(batch_size <= images, f"{where}.batch_size", batch_size, f"at most {images}, the number of images")
