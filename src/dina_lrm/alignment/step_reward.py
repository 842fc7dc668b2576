"""A reward model as judge of single steps: which of several states at one noise level is the better one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.generator import Generator, Latents
from dina_lrm.alignment.objective import reward_conditioning
from dina_lrm.backbones.base import Conditioning
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.latent import LatentReward

Scored = Literal["noisy", "clean"]


@final
class StepReward:
    """Scores states of a generator without gradient.

    "noisy" reads a state as it is, at its own noise level; "clean" the clean latents that the generator predicts from
    it, at the level that the reward was given, which costs a pass of the generator.

    Raises:
        ValueError: for a reward that reads no latents.
    """

    def __init__(self, generator: Generator, reward: Reward, how: Scored = "noisy") -> None:
        if not isinstance(reward, LatentReward):
            raise ValueError(f"step-level reward {reward.name!r}: reads pictures; accepted: latent:MODEL")
        self._generator, self._reward, self._how = generator, reward, how

    @torch.no_grad()
    def __call__(
        self, states: Latents, level: Tensor, prompts: Sequence[str], conditioning: Conditioning, seed: int = 0
    ) -> Float[Tensor, " batch"]:
        """Raw scores of states at one noise level; `seed` draws the noise that clean estimates are scored with.

        Raises:
            ValueError: for a score that is not finite.
        """
        model = self._reward.model
        own = reward_conditioning(self._reward, self._generator, prompts, conditioning)
        if self._how == "noisy":
            scores = model.score_noisy(states, float(level), own)
        else:
            velocity = self._generator.velocity(states, level, conditioning)
            clean = self._generator.process.clean_from_velocity(states, velocity, level)
            scores = model.score_latents(clean, own, self._reward.noise_level, seed=seed)
        if not bool(scores.isfinite().all()):
            bad = int((~scores.isfinite()).nonzero()[0])
            raise ValueError(
                f"step-level reward {self._reward.name!r}: {scores[bad].item()} for {prompts[bad]!r} at level {level}"
            )
        return scores

    def preferred(self, margin: Tensor, level: Tensor) -> Tensor:
        """P(first preferred) from the margin of raw scores of two states at a level, by the model's likelihood."""
        levels = float(level) if self._how == "noisy" else self._reward.noise_level
        return self._reward.model.margin_probability(margin, levels)
