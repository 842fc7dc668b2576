"""What a generator is aligned with: one reward or a weighted sum, on latents or through the decoder.

Several rewards are summed as z-scores: each loses its mean and is divided by its deviation over pictures of the
generator before it learns, so that weights compare rewards whatever their scales.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.rewards.base import BoundReward, Likelihood, StateReward
from dina_lrm.rewards.latent import BoundLatent
from dina_lrm.rewards.names import load_reward
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.typed import DinaError


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
            raise DinaError(f"rewards: {names} names one twice; accepted: each once")
        self.rewards = tuple(load_reward(term.name, generator, term.noise_level) for term in terms)
        self._bound = tuple(reward.bound_to(generator) for reward in self.rewards)
        for reward in self.rewards:
            if differentiable and not reward.differentiable:
                raise DinaError(f"reward {reward.name!r} has no gradient, which ReFL and guidance need")
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
            raise DinaError(f"scales of {sorted(scales)} for rewards {sorted(self.weights)}; accepted: the same names")
        for name, (mean, deviation) in scales.items():
            if not (math.isfinite(mean) and 0 < deviation < math.inf):
                raise DinaError(
                    f"reward {name!r}: mean {mean} and deviation {deviation} over the first look; a z-score needs a "
                    "deviation above 0"
                )
        self._scales = dict(scales)

    @property
    def decodings(self) -> int:
        """How often a score decodes an image: once for each reward of pixels."""
        return sum(bound.decodings for bound in self._bound)

    def latent_model(self, use: str) -> BoundLatent:
        """The one latent reward that it is; ValueError, naming the `use`, for any other objective."""
        bound = self._bound[0]
        if len(self._bound) > 1 or not isinstance(bound, BoundLatent):
            names = ", ".join(each.name for each in self.rewards)
            raise DinaError(f"{use} scores of unfinished samples: got {names}; accepted: one reward latent:MODEL")
        return bound

    def state_reward(self, use: str) -> StateReward:
        """The one reward that also scores noisy states; ValueError, naming the `use`, for any other objective."""
        bound = self._bound[0]
        if len(self._bound) > 1 or not isinstance(bound, StateReward):
            names = ", ".join(each.name for each in self.rewards)
            raise DinaError(f"{use} scores of unfinished samples: got {names}; accepted: one reward latent:MODEL")
        bound.check_states(use)
        return bound

    def check_states(self, use: str) -> None:
        """ValueError, naming the `use`, unless each of its rewards also scores noisy states."""
        for term, bound in zip(self._terms, self._bound, strict=True):
            if not isinstance(bound, StateReward):
                raise DinaError(f"{use} scores unfinished samples: got {term.shown}; accepted: rewards latent:MODEL")
            bound.check_states(use)

    def gradients(
        self,
        latents: Latents,
        prompts: Sequence[str],
        seed: int = 0,
        conditioning: Conditioning | None = None,
        level: float | None = None,
    ) -> dict[str, Latents]:
        """The gradient of each reward by its name, with respect to clean latents, or to states at a noise `level`.

        One reward is in memory at a time. Weights and scales are left out: only directions are compared.

        Raises:
            ValueError: as for scores, for a gradient that is not finite, and with a level for a reward that reads clean
                latents alone.
        """
        self._generator.expect_finite(latents)
        found = {}
        for term, bound in zip(self._terms, self._bound, strict=True):
            with torch.enable_grad():
                leaf = latents.detach().clone().requires_grad_()
                scores = self._scored(term, self._score(bound, leaf, prompts, seed, conditioning, level), prompts)
                (gradient,) = torch.autograd.grad(scores.sum(), leaf)
            if not bool(gradient.isfinite().all()):
                raise DinaError(f"reward {term.shown!r}: its gradient is not finite")
            found[term.shown] = gradient
        return found

    @staticmethod
    def _score(
        bound: BoundReward,
        latents: Latents,
        prompts: Sequence[str],
        seed: int,
        conditioning: Conditioning | None,
        level: float | None,
    ) -> Float[Tensor, " batch"]:
        if level is None:
            return bound(latents, prompts, seed, conditioning)
        if not isinstance(bound, StateReward):
            raise DinaError("gradients at a noise level: a reward of clean latents; accepted: rewards latent:MODEL")
        return bound.noisy(latents, level, prompts, conditioning)

    def likelihoods(self, use: str) -> dict[str, Likelihood]:
        """P(first preferred) from the margin of two scores of each reward, by its name.

        ValueError, naming the `use`, for a reward that does not say how sure it is.
        """
        found = {term.shown: bound.likelihood() for term, bound in zip(self._terms, self._bound, strict=True)}
        silent = [name for name, likelihood in found.items() if likelihood is None]
        if silent:
            raise DinaError(
                f"{use} needs to know how sure a reward is, which {', '.join(silent)} does not say; accepted: "
                "latent:MODEL, image:MODEL, or a server that tells its likelihood"
            )
        said = {name: likelihood for name, likelihood in found.items() if likelihood is not None}
        for likelihood in said.values():
            likelihood(torch.zeros(1))  # a weighted sum of scores has none, which is refused here
        return said

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
        for term, reward in zip(self._terms, self._bound, strict=True):
            scores = self._scored(term, reward(latents, prompts, seed, conditioning), prompts)
            # A judge may compute elsewhere
            parts[term.shown] = scores.to(latents.device)
        return ObjectiveScores(self._sum(parts), parts)

    @staticmethod
    def _scored(term: RewardTerm, scores: Tensor, prompts: Sequence[str]) -> Float[Tensor, " batch"]:
        """The scores, where there is a finite one for each image."""
        if scores.shape != (len(prompts),):
            raise DinaError(f"reward {term.shown!r}: scores of shape {tuple(scores.shape)} for {len(prompts)} images")
        if not bool(scores.isfinite().all()):
            bad = int((~scores.isfinite()).nonzero()[0])
            raise DinaError(f"reward {term.shown!r}: {scores[bad].item()} for {prompts[bad]!r}")
        return scores

    def _sum(self, parts: Mapping[str, Tensor]) -> Float[Tensor, " batch"]:
        rows = []
        for term in self._terms:
            mean, deviation = self._scales.get(term.shown, (0.0, 1.0))
            rows.append(term.weight * (parts[term.shown] - mean) / deviation)
        return torch.stack(rows).sum(dim=0)
