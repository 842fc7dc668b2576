"""Latent reward models as rewards: on latents, differentiable, and on images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

from jaxtyping import Float32
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.base import HostGenerator, NoiseLevels, PixelReward, RewardKind, Scores, StateReward


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
    def load(cls, model: str, generator: HostGenerator | None = None) -> LatentReward:
        """Load the model "synthetic", of a folder, or of a hub id; for a generator, on that generator's own weights."""
        if generator is None:
            return cls(LatentRewardModel.from_pretrained(model), name=f"latent:{model}")
        shared = LatentRewardModel.from_pretrained(model, pipeline=generator.pipeline)
        if generator.gradient_checkpointing:
            shared.backbone.enable_gradient_checkpointing()
        return cls(shared, name=f"latent:{model}")

    def read_at(self, noise_level: float | tuple[float, ...]) -> LatentReward:
        """Return the same reward, reading at another level, or at several as an ensemble."""
        return replace(self, noise_level=noise_level)

    def bound_to(self, generator: HostGenerator) -> BoundLatent:
        """Bind to a generator, whose latents it reads as they are."""
        return BoundLatent(self, generator)

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of latents in the generator's scaled space."""
        conditioning = self.model.encode_prompts(list(prompts))
        return self.model.score_latents(inputs, conditioning, self.noise_level, seed=self.seed)


@final
class BoundLatent(StateReward):
    """A latent reward of one generator; its scores are normalised by the mean and deviation stored with the model."""

    def __init__(self, reward: LatentReward, generator: HostGenerator) -> None:
        self.model, self._reward, self._generator = reward.model, reward, generator

    def __call__(
        self, latents: Tensor, prompts: Sequence[str], seed: int = 0, conditioning: Conditioning | None = None
    ) -> Scores:
        """Score clean latents, normalised."""
        return self.model.normalize(self.raw(latents, prompts, seed, conditioning))

    def raw(self, latents: Tensor, prompts: Sequence[str], seed: int, conditioning: Conditioning | None) -> Scores:
        """Score clean latents, with the noise that `seed` draws for all of them."""
        own = self.conditioning(prompts, conditioning)
        return self.model.score_latents(latents, own, self._reward.noise_level, seed=seed, own=True)

    def noisy(self, x: Tensor, level: float, prompts: Sequence[str], conditioning: Conditioning | None) -> Scores:
        """Score states at their own noise level, normalised."""
        own = self.conditioning(prompts, conditioning)
        return self.model.normalize(self.model.score_noisy(x, level, own))

    def preferred(self, margin: Tensor, level: float | None) -> Tensor:
        """P(first preferred) from the margin of two normalised scores, read at `level`; None: where clean ones are."""
        read_at = self._reward.noise_level if level is None else level
        return self.model.margin_probability(margin * self.model.config.score_std, read_at)

    def conditioning(self, prompts: Sequence[str], given: Conditioning | None) -> Conditioning:
        """The generator's conditioning where the model reads it as it is, else the model's own."""
        own = self.model.backbone.config
        as_given = own.prompt_length == self._generator.prompt_length and own.prompt_padding == "max"
        if given is None or not as_given:
            return self.model.encode_prompts(list(prompts))
        return given


@final
@dataclass(frozen=True, eq=False)
class ImageReward(PixelReward):
    """Raw scores of images (batch, 3, height, width) in [0, 1], through the generator's encoder, without gradient."""

    model: LatentRewardModel
    noise_level: NoiseLevels = None
    seed: int = 0
    name: str = "image"
    differentiable: ClassVar[bool] = False

    @classmethod
    def load(cls, model: str) -> ImageReward:
        """Load the model "synthetic", of a folder, or of a hub id."""
        return cls(LatentRewardModel.from_pretrained(model), name=f"image:{model}")

    def read_at(self, noise_level: float | tuple[float, ...]) -> ImageReward:
        """Return the same reward, reading at another level, or at several as an ensemble."""
        return replace(self, noise_level=noise_level)

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images, scaled and cropped to the model's buckets where they have another size."""
        return self.model.score(inputs, list(prompts), self.noise_level, self.seed)

    def preferred(self, margin: Tensor) -> Tensor:
        """P(first preferred) from the margin of two scores at the level they are read at."""
        return self.model.margin_probability(margin, self.noise_level)
