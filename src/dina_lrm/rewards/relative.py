r"""The difference of a reward under two prompts (semantic relative preference; SRPO, arXiv 2509.06942).

    r(x, c) = (1 + k) R(x, good c) - R(x, bad c)

    relative:latent:MODEL?good=a sharp photo of&bad=a blurry photo of&k=0.1

Both scores see one draw of noise. With k = 0 whatever R likes in a picture without regard to the words cancels, such as
a style that it prefers to all prompts, and what is left is how much more the good words fit than the bad ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from jaxtyping import Float32
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.base import (
    BindableReward,
    BoundReward,
    HostGenerator,
    OnPictures,
    ReadsNoise,
    RewardKind,
    Scores,
)
from dina_lrm.rewards.names import load_reward
from dina_lrm.rewards.relative_name import FAMILY, RelativeName
from dina_lrm.typed import DinaError


@final
@dataclass(frozen=True, eq=False)
class RelativeReward:
    """A reward asked with both texts; it reads what that one reads, and has a gradient where that one has."""

    reward: BindableReward
    told: RelativeName
    name: str = FAMILY

    @classmethod
    def load(cls, model: str, generator: HostGenerator | None = None) -> RelativeReward:
        """Load "REWARD?good=TEXT&bad=TEXT&k=NUMBER"; ValueError for another grammar, and as the reward's own loader."""
        told = RelativeName.of(model)
        return cls(load_reward(told.reward, generator), told, f"{FAMILY}:{model}")

    @property
    def kind(self) -> RewardKind:
        """What the inner reward reads."""
        return self.reward.kind

    @property
    def differentiable(self) -> bool:
        """Whether the inner reward is."""
        return self.reward.differentiable

    def read_at(self, noise_level: float | tuple[float, ...]) -> RelativeReward:
        """The same, its reward reading at another level. ValueError for one that adds no noise."""
        if not isinstance(self.reward, ReadsNoise):
            raise DinaError(f"reward {self.name!r}: noise_level {noise_level}; accepted where its reward adds noise")
        return replace(self, reward=self.reward.read_at(noise_level))

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """The difference of the scores; NaN where either is missing."""
        good = self.reward(inputs, [self.told.good_prompt(prompt) for prompt in prompts])
        return self.combined(good, self.reward(inputs, [self.told.bad_prompt(prompt) for prompt in prompts]))

    def bound_to(self, generator: HostGenerator) -> BoundReward:
        """Bind to a generator; a picture is decoded once for both scores."""
        return OnPictures(self, generator) if self.kind == "pixel" else BoundRelative(self, generator)

    def combined(self, good: Scores, bad: Scores) -> Scores:
        """`(1 + k) good - bad`."""
        return (1 + self.told.k) * good - bad


@final
class BoundRelative(BoundReward):
    """The difference for a reward of latents, in the unit of its normalised scores."""

    def __init__(self, relative: RelativeReward, generator: HostGenerator) -> None:
        self._relative, self._inner = relative, relative.reward.bound_to(generator)

    def __call__(
        self, latents: Tensor, prompts: Sequence[str], seed: int = 0, conditioning: Conditioning | None = None
    ) -> Scores:
        """Score clean latents by normalised scores; `conditioning` is of other texts, and not read."""
        told = self._relative.told
        good = self._inner(latents, [told.good_prompt(prompt) for prompt in prompts], seed)
        bad = self._inner(latents, [told.bad_prompt(prompt) for prompt in prompts], seed)
        return self._relative.combined(good, bad)

    def raw(self, latents: Tensor, prompts: Sequence[str], seed: int, conditioning: Conditioning | None) -> Scores:
        """The same of scores as they come."""
        told = self._relative.told
        good = self._inner.raw(latents, [told.good_prompt(prompt) for prompt in prompts], seed, None)
        bad = self._inner.raw(latents, [told.bad_prompt(prompt) for prompt in prompts], seed, None)
        return self._relative.combined(good, bad)
