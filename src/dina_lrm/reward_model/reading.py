"""How a reward model reads: from what it is given to all of its scores, which are the last axis of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.buckets import Bucket
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.heads.base import Head
from dina_lrm.heads.reading import read_features
from dina_lrm.pictures.sources import GivenPicture
from dina_lrm.reward_model.checks import (
    NoiseLevels,
    check_latents,
    check_noise,
    check_scale,
    checked_level_per_item,
    checked_levels,
    checked_seed,
    matched_conditioning,
)
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.inputs import Notices, encoded_batches
from dina_lrm.reward_model.level_scores import common_noise, scores_of_batches, scores_of_groups, scoring_mode

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


class ScoreReader(nn.Module):
    """A backbone and a head that read pictures, latents and states as a configuration says."""

    def __init__(self, config: RewardModelConfig, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.head = head
        self.weights: dict[str, float] = {}
        """Of named scores, whose z-scores are summed where one score is wanted; none: the main one is."""

    @property
    def process(self) -> ForwardProcess:
        """The forward process of the generator."""
        return self.backbone.process

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The image sizes that the model scores; other images are scaled and cropped to the nearest."""
        multiple = self.backbone.pixels_per_latent * self.backbone.latent_multiple
        return self.config.sizes.buckets(multiple)

    def forward(
        self,
        noisy_latents: Float[Tensor, "batch ... channels height width"],
        noise_level: Float[Tensor, "batch ..."],
        conditioning: Conditioning,
    ) -> Float[Tensor, "batch scores"]:
        """Raw scores of noisy latents at their own noise levels: what is trained. No checks; see `score_noisy`.

        A column for each of the model's scores, in the order of `config.names`.

        With an axis of levels, the head reads the tokens of all of them at once: the ensemble of `score`.
        """
        read = partial(read_features, self.backbone, self.head)
        if noise_level.ndim == 1:
            return self.head([read(noisy_latents, noise_level, conditioning)])
        states = zip(noisy_latents.unbind(1), noise_level.unbind(1), strict=True)
        return self.head([read(noisy, level, conditioning) for noisy, level in states])

    def main_of(self, scores: Float[Tensor, "*shape scores"]) -> Float[Tensor, "*shape"]:
        """The main score among all of them, which are the last axis, or their sum as weighted."""
        if self.weights:
            scales = self.config.scales
            parts = [
                weight * (scores[..., self.config.names.index(name)] - scales[name].mean) / scales[name].std
                for name, weight in self.weights.items()
            ]
            return sum(parts[1:], start=parts[0])
        return scores[..., self.config.names.index(self.config.main)]

    def by_name(self, scores: Float[Tensor, "*shape scores"]) -> dict[str, Float[Tensor, "*shape"]]:
        """All scores, which are the last axis, by name."""
        return dict(zip(self.config.names, scores.unbind(-1), strict=True))

    def main_among(self, named: Mapping[str, Float[Tensor, ...]]) -> Float[Tensor, ...]:
        """The same of scores by name, as `by_name` gives them."""
        return self.main_of(torch.stack([named[name] for name in self.config.names], dim=-1))

    def reading_scores(
        self,
        latents: Float[Tensor, "images channels height width"],
        conditioning: Conditioning,
        readings: Sequence[Sequence[float]],
        noise: Float[Tensor, "images channels height width"],
    ) -> Float[Tensor, "images readings scores"]:
        """All raw scores of clean latents at each of some readings, a level or the levels of an ensemble, in one pass.

        Each image is noised and read once for each distinct level, by one draw of `noise`.
        """
        groups = [checked_levels("reading_scores", levels, 0.0) for levels in readings]
        return self._latent_scores("reading_scores", latents, conditioning, groups, noise, 0)

    def _image_scores(
        self,
        where: str,
        images: Sequence[GivenPicture],
        prompts: Sequence[str],
        noise_level: NoiseLevels | None,
        seed: int,
        batch_size: int,
    ) -> Tensor:
        levels = checked_levels(where, noise_level, self.config.noise_level)
        seed = checked_seed(where, seed)
        notices = Notices()
        with scoring_mode(self, self.backbone):
            batches = encoded_batches(where, self.backbone, images, prompts, self.buckets, batch_size, notices)
            scores = scores_of_batches(self.backbone, self.head, batches, len(images), levels, seed)
        notices.say(where, stacklevel=3)
        return scores

    def _state_scores(self, where: str, noisy: Tensor, noise_level: object, conditioning: Conditioning) -> Tensor:
        check_latents(where, noisy, self.backbone)
        levels = checked_level_per_item(where, noise_level, len(noisy))
        conditioning = matched_conditioning(where, conditioning, len(noisy))
        with scoring_mode(self, self.backbone, differentiable=noisy):
            scores: Tensor = self(noisy, levels, conditioning)
            return scores

    def _latent_scores(
        self,
        where: str,
        latents: Tensor,
        conditioning: Conditioning,
        groups: Sequence[Sequence[float]],
        noise: Tensor | None,
        seed: int,
        own: bool = False,
    ) -> Tensor:
        check_latents(where, latents, self.backbone)
        check_scale(where, latents, own=own)
        conditioning = matched_conditioning(where, conditioning, len(latents))
        if noise is not None:
            check_noise(where, noise, latents)
        drawn = common_noise(latents, checked_seed(where, seed)) if noise is None else noise
        with scoring_mode(self, self.backbone, differentiable=latents):
            return scores_of_groups(self.backbone, self.head, latents, conditioning, groups, drawn)
