"""The recipe of the bundled generator, as plain values: 50 minutes on two CPU cores with bfloat16 instructions."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class VaeConfig:
    """Autoencoder: mean squared error, a small KL term, AdamW with a cosine schedule."""

    images: int = 16_000
    steps: int = 2_200
    batch_size: int = 32
    learning_rate: float = 2e-3
    kl_weight: float = 1e-5


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
class PretrainConfig:
    """The complete recipe; `checkpoint_seconds` is how often the state is written."""

    seed: int = 0
    vae: VaeConfig = field(default_factory=VaeConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    compile: bool = True
    checkpoint_seconds: float = 60.0
