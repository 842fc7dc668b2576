"""What an alignment run is: plain values, as in training. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dina_lrm.typed import from_plain, require, to_plain

Shaping = Literal["linear", "relu", "log-sigmoid"]


@dataclass(frozen=True)
class RewardTerm:
    """One reward of the objective, by its name in `rewards`: "latent:MODEL" or a differentiable judge of pixels."""

    name: str = "latent:synthetic"
    weight: float = 1.0
    noise_level: float | None = None
    """At which a latent reward is read; None = that stored with the model."""


@dataclass(frozen=True)
class GeneratorSettings:
    """The generator and the LoRA that learns."""

    pretrained: str = "stabilityai/stable-diffusion-3.5-medium"
    resolution: int = 1024
    prompt_length: int = 128
    """Tokens of the long text encoder; 0 for a Stable Diffusion 3 without T5."""
    rank: int = 32
    alpha: float = 64.0
    sampling_steps: int = 40
    guidance: float = 4.5
    """Of the steps without gradient; the step with gradient is conditional alone."""

    def __post_init__(self) -> None:
        require(self.rank >= 1, "generator.rank", self.rank, "an integer of at least 1")
        require(self.sampling_steps >= 2, "generator.sampling_steps", self.sampling_steps, "an integer of at least 2")


@dataclass(frozen=True)
class ReflSettings:
    """Reward feedback learning: where the gradient enters, and how rewards become a loss."""

    first: int = 30
    """The step with gradient is drawn from `first` to `last`, counted from 0 at the noise end."""
    last: int = 39
    shaping: Shaping = "linear"
    margin: float = 2.0
    """relu: no pull on rewards above it."""
    scale: float = 1.0
    pretraining_weight: float = 0.0
    """Of the mean squared error on the base model's own samples: (loss + w mse) / (1 + w)."""
    pretraining_samples: int = 64
    """How many of those samples are drawn before the run, where the weight is above 0."""


@dataclass(frozen=True)
class AlignConfig:
    """A complete ReFL run. `batch_size` counts images per update; `micro_batch` of them are held at once."""

    name: str = "custom"
    seed: int = 0
    steps: int = 150
    batch_size: int = 256
    micro_batch: int = 8
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    rewards: tuple[RewardTerm, ...] = (RewardTerm(),)
    refl: ReflSettings = field(default_factory=ReflSettings)
    lr: float = 3e-5
    clip_norm: float = 1.0
    ema_decay: float = 0.9
    ema_every: int = 8
    """Updates between two of the moving average."""
    look_every: int = 25
    """Updates between two looks at samples of the moving average."""
    look_prompts: int = 16
    look_images: int = 2
    """Images a prompt, always from the same seeds."""
    checkpoint_every: int = 25

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "micro_batch", "ema_every", "look_every", "checkpoint_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "an integer of at least 1")
        require(self.batch_size % self.micro_batch == 0, "micro_batch", self.micro_batch, "a divisor of batch_size")
        require(0 < self.lr < math.inf, "lr", self.lr, "a finite number above 0")
        require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "a number in [0, 1)")
        require(bool(self.rewards), "rewards", self.rewards, "at least one reward")
        last = self.generator.sampling_steps - 1
        inside = 0 <= self.refl.first <= self.refl.last <= last
        require(inside, "refl.first, refl.last", (self.refl.first, self.refl.last), f"0 <= first <= last <= {last}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AlignConfig:
        """Read plain values strictly; ValueError names an unknown key or a wrong type."""
        return from_plain(cls, values)
