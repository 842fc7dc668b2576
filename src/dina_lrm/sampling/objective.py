"""What a generator is aligned with: one reward or a weighted sum, on latents or through the decoder.

Several rewards are summed as z-scores: each loses its mean and is divided by its deviation over pictures of the
generator before it learns, so that weights compare rewards whatever their scales.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.base import Reward, load_reward
from dina_lrm.rewards.latent import ImageReward, LatentReward
from dina_lrm.rewards.mixture import Mixture
from dina_lrm.rewards.remote import RemoteReward
from dina_lrm.sampling.reward_term import RewardTerm


@dataclass(frozen=True)
class ObjectiveScores:
    """The weighted sum, and each reward by its name, for each image."""

    total: Float[Tensor, " batch"]
    parts: dict[str, Float[Tensor, " batch"]]


class Objective:
    """Scores clean latents of a generator; differentiable, so that the gradient reaches them."""

    def __init__(self, generator: Generator, terms: Sequence[RewardTerm], differentiable: bool = True) -> None:
        self._generator, self._terms = generator, tuple(terms)
        names = [term.shown for term in terms]
        if len(set(names)) < len(names):
            raise ValueError(f"rewards: {names} names one twice; accepted is each once")
        self.rewards: tuple[Reward, ...] = tuple(_loaded(term, generator) for term in terms)
        for reward in self.rewards:
            if differentiable and not reward.differentiable:
                raise ValueError(f"reward {reward.name!r} has no gradient, which ReFL and guidance need")
        self._scales: dict[str, tuple[float, float]] = {}

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each reward by its name."""
        return {term.shown: term.weight for term in self._terms}

    def standardise(self, scales: Mapping[str, tuple[float, float]]) -> None:
        """From now on sum z-scores: `scales` gives the mean and the deviation of each reward.

        Raises:
            ValueError: for other names than those of the rewards, or a deviation that is not above 0.
        """
        if set(scales) != set(self.weights):
            raise ValueError(f"scales of {sorted(scales)} for rewards {sorted(self.weights)}; accepted: the same names")
        for name, (mean, deviation) in scales.items():
            if not (math.isfinite(mean) and 0 < deviation < math.inf):
                raise ValueError(
                    f"reward {name!r}: mean {mean} and deviation {deviation} over the first look; a z-score needs a "
                    "deviation above 0"
                )
        self._scales = dict(scales)

    @property
    def decodings(self) -> int:
        """How often a score decodes an image: once for each reward of pixels."""
        return sum(reward.kind == "pixel" for reward in self.rewards)

    def conditioning_of(
        self, model: LatentRewardModel, prompts: Sequence[str], conditioning: Conditioning | None
    ) -> Conditioning:
        """The generator's conditioning where the model reads as many tokens, else the model's own."""
        if conditioning is None or model.backbone.config.prompt_length != self._generator.backbone.config.prompt_length:
            return model.encode_prompts(list(prompts))
        return conditioning

    def __call__(
        self, latents: Latents, prompts: Sequence[str], seed: int = 0, conditioning: Conditioning | None = None
    ) -> ObjectiveScores:
        """Scores of clean latents. `seed` draws the noise that latent rewards see, common to all images.

        `conditioning` is the generator's of these prompts: latent rewards that read as many tokens take it as theirs.
        Latent rewards are normalised by the mean and deviation stored with them; judges of pixels are as they come.

        Raises:
            ValueError: for a reward that answers with another number, or with one that is not finite.
            NotFiniteError: for latents that are not finite.
        """
        self._generator.expect_finite(latents)
        parts = {}
        for term, reward in zip(self._terms, self.rewards, strict=True):
            scores = self._raw(reward, latents, prompts, seed, conditioning)
            if isinstance(reward, LatentReward):
                scores = reward.model.normalize(scores)
            if scores.shape != (len(latents),):
                raise ValueError(
                    f"reward {term.shown!r}: scores of shape {tuple(scores.shape)} for {len(latents)} images"
                )
            if not bool(scores.isfinite().all()):
                bad = int((~scores.isfinite()).nonzero()[0])
                raise ValueError(f"reward {term.shown!r}: {scores[bad].item()} for {prompts[bad]!r}")
            # A judge may compute elsewhere
            parts[term.shown] = scores.to(latents.device)
        return ObjectiveScores(self._sum(parts), parts)

    def _sum(self, parts: Mapping[str, Tensor]) -> Float[Tensor, " batch"]:
        rows = []
        for term in self._terms:
            mean, deviation = self._scales.get(term.shown, (0.0, 1.0))
            rows.append(term.weight * (parts[term.shown] - mean) / deviation)
        return torch.stack(rows).sum(dim=0)

    def _raw(
        self,
        reward: Reward,
        latents: Tensor,
        prompts: Sequence[str],
        seed: int,
        conditioning: Conditioning | None,
    ) -> Tensor:
        """Scores as the reward gives them."""
        if isinstance(reward, LatentReward):
            own = self.conditioning_of(reward.model, prompts, conditioning)
            return reward.model.score_latents(latents, own, reward.noise_level, seed=seed)
        if isinstance(reward, RemoteReward):
            told = self._generator.encode_prompts(prompts) if conditioning is None else conditioning
            return reward.score(latents.float(), told, seed)
        if isinstance(reward, Mixture) and reward.kind == "latent":
            return reward.combined([self._raw(each, latents, prompts, seed, conditioning) for each in reward.rewards])
        return reward(self._generator.images(latents), list(prompts)).float()


def _loaded(term: RewardTerm, generator: Generator) -> Reward:
    family, _, model = term.name.partition(":")
    if family != "latent":
        judge = _mixture(model, generator) if family == "mixture" else load_reward(term.name)
        if isinstance(judge, RemoteReward) and not isinstance(term.noise_level, tuple):
            return replace(judge, noise_level=term.noise_level)
        if term.noise_level is None:
            return judge
        if not isinstance(judge, ImageReward):
            raise ValueError(
                f"reward {term.shown!r}: noise_level {term.noise_level}; accepted for latent:, image:, remote: (one), "
                "and None for all others"
            )
        return replace(judge, noise_level=term.noise_level)
    shared = LatentRewardModel.from_pretrained(model, pipeline=generator.pipeline)
    if generator.gradient_checkpointing:
        shared.backbone.enable_gradient_checkpointing()
    return LatentReward(shared, term.noise_level, name=term.shown)


def _mixture(model: str, generator: Generator) -> Mixture:
    """Its latent rewards share the generator's weights."""
    return Mixture.load(model, lambda name: _loaded(RewardTerm(name), generator))
