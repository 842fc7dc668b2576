"""Latent reward models as rewards: on latents, differentiable, and on images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float32
from torch import Tensor

from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.base import RewardKind

NoiseLevels = float | tuple[float, ...] | None
"""A noise level, several for an ensemble, or None for the level stored with the model."""


@final
@dataclass(frozen=True, eq=False)
class LatentReward:
    """Raw scores of clean latents, differentiable with respect to them; every call sees the noise of `seed`."""

    model: LatentRewardModel
    noise_level: NoiseLevels = None
    seed: int = 0
    name: str = "latent"
    kind: ClassVar[RewardKind] = "latent"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> LatentReward:
        """The model "synthetic", of a folder, or of a hub id."""
        return cls(LatentRewardModel.from_pretrained(model), name=f"latent:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of latents in the generator's scaled space."""
        conditioning = self.model.encode_prompts(list(prompts))
        return self.model.score_latents(inputs, conditioning, self.noise_level, seed=self.seed)


@final
@dataclass(frozen=True, eq=False)
class ImageReward:
    """Raw scores of images (batch, 3, height, width) in [0, 1], through the generator's encoder, without gradient."""

    model: LatentRewardModel
    noise_level: NoiseLevels = None
    seed: int = 0
    name: str = "image"
    kind: ClassVar[RewardKind] = "pixel"
    differentiable: ClassVar[bool] = False

    @classmethod
    def load(cls, model: str) -> ImageReward:
        """The model "synthetic", of a folder, or of a hub id."""
        return cls(LatentRewardModel.from_pretrained(model), name=f"image:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images, scaled and cropped to the model's buckets where they have another size."""
        return self.model.score(inputs, list(prompts), self.noise_level, self.seed)
