"""The recipes of the bundled generators, as plain values: 50 minutes on two CPU cores with bfloat16 instructions."""

from dataclasses import dataclass, field
from typing import Literal

Architecture = Literal["sd3", "unet"]
"""The flow transformer, or the variance-preserving U-Net."""


@dataclass(frozen=True)
class VaeConfig:
    """Autoencoder: mean squared error, a small KL term, AdamW with a cosine schedule."""

    images: int = 16_000
    steps: int = 2_200
    batch_size: int = 32
    learning_rate: float = 2e-3
    kl_weight: float = 1e-5
    held_out: int = 2_000
    """Pictures that the PSNR is measured on."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Rectified flow with logit-normal times; prompts are dropped for classifier-free guidance."""

    images: int = 160_000
    steps: int = 12_000
    batch_size: int = 64
    learning_rate: float = 1.2e-3
    warmup: int = 200
    ema: float = 0.999
    prompt_dropout: float = 0.1
    mismatched: float = 0.0
    """Share of training pictures that disagree with their caption in one way."""
    damaged: float = 0.1
    """Share of training pictures with a defect."""


@dataclass(frozen=True)
class UnetConfig(GeneratorConfig):
    """Prediction of the noise at timesteps drawn uniformly (Ho et al., 2020); autoencoder and data are the world's."""

    images: int = 48_000
    steps: int = 6_000
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup: int = 200


@dataclass(frozen=True)
class PretrainConfig:
    """The complete recipe; `checkpoint_seconds` is how often the state is written.

    `vae` and `generator` are of the first architecture; `unet` is of the second, which trains no autoencoder.
    """

    seed: int = 0
    architecture: Architecture = "sd3"
    vae: VaeConfig = field(default_factory=VaeConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    unet: UnetConfig = field(default_factory=UnetConfig)
    compile: bool = True
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True)
class UncuratedConfig:
    """What the LoRA is and learns from; `mismatched` and `damaged` are shares of the pictures."""

    images: int = 24_000
    steps: int = 700
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup: int = 50
    rank: int = 16
    prompt_dropout: float = 0.1
    mismatched: float = 0.2
    damaged: float = 0.85
