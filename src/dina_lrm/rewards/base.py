"""What a reward is, and how it is bound to a generator, whose clean latents it then scores.

    bound = reward.bound_to(generator)
    bound(latents, prompts, seed, conditioning)

A reward of pictures decodes the latents first; a latent reward reads them as they are, with the generator's own
conditioning where it reads as many tokens.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Protocol, TypeVar, final, runtime_checkable

from jaxtyping import Float, Float32
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.precision import default_device
from dina_lrm.reward_model.inputs import PromptTruncatedWarning
from dina_lrm.typed import DinaError

RewardKind = Literal["pixel", "latent"]
Model = TypeVar("Model", bound=nn.Module)
NoiseLevels = float | tuple[float, ...] | None
"""A noise level, several for an ensemble, or None for the level stored with the model."""
Scores = Float[Tensor, " batch"]
Likelihood = Callable[[Tensor], Tensor]
"""P(first preferred) from the margin of two scores of clean latents or pictures, of any shape."""


@runtime_checkable
class HostGenerator(Protocol):
    """What a reward asks of the generator that it is bound to."""

    @property
    def pipeline(self) -> Any:  # noqa: ANN401 - a pipeline of diffusers
        """The pipeline whose weights a latent reward shares."""

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether activations are computed again in the backward pass."""

    @property
    def prompt_length(self) -> int:
        """Tokens of the generator's long text encoder; 0 without one."""

    def images(self, latents: Tensor) -> Tensor:
        """Decode clean latents to pictures (batch, 3, height, width) in [0, 1]."""

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Encode prompts as the generator reads them."""


class BoundReward(ABC):
    """Scores clean latents of one generator; differentiable with respect to them where the reward is."""

    decodings: ClassVar[int] = 0
    """How often a score decodes an image."""

    def __call__(
        self, latents: Tensor, prompts: Sequence[str], seed: int = 0, conditioning: Conditioning | None = None
    ) -> Scores:
        """Score clean latents (batch, channels, height, width), one prompt each, in the reward's own scale.

        `seed` draws the noise that latent rewards see, common to all. `conditioning` is the generator's of these
        prompts. Scores of one latent reward model are normalised by the mean and deviation stored with it.
        """
        return self.raw(latents, prompts, seed, conditioning)

    @abstractmethod
    def raw(self, latents: Tensor, prompts: Sequence[str], seed: int, conditioning: Conditioning | None) -> Scores:
        """Score as `__call__` does, without normalising: what a mixture standardises itself."""

    def likelihood(self) -> Likelihood | None:
        """How sure a preference between two scores of `__call__` is; None where the reward does not say."""
        return None


class StateReward(BoundReward):
    """Scores also states of a trajectory that is not finished, and says how sure a preference is."""

    @abstractmethod
    def noisy(self, x: Tensor, level: float, prompts: Sequence[str], conditioning: Conditioning | None) -> Scores:
        """Score states at their own noise level, normalised."""

    @abstractmethod
    def preferred(self, margin: Tensor, level: float | None) -> Tensor:
        """P(first preferred) from the margin of two normalised scores, read at `level`; None: where clean ones are."""

    def check_states(self, use: str) -> None:
        """Raise ValueError, naming the `use`, where it cannot after all."""

    def likelihood(self) -> Likelihood | None:
        """As `preferred`, where clean latents are read."""
        return partial(self.preferred, level=None)


@runtime_checkable
class Reward(Protocol):
    """Scores one image or latent for each prompt: higher is better, on a scale of its own.

    `kind` says what it reads: "pixel" images (batch, 3, height, width) in [0, 1], or "latent" latents in the scaled
    space of one generator. `differentiable` says whether the scores have a gradient with respect to them.
    """

    @property
    def name(self) -> str:
        """How reports call it."""

    @property
    def kind(self) -> RewardKind:
        """What it reads."""

    @property
    def differentiable(self) -> bool:
        """Whether its scores have a gradient with respect to what it reads."""

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of a batch, one prompt each; raises ValueError when their numbers differ."""


@runtime_checkable
class BindableReward(Reward, Protocol):
    """A reward that can take part in an objective; a judge that only looks at pictures need not be one."""

    def bound_to(self, generator: HostGenerator) -> BoundReward:
        """Bind to a generator, whose clean latents it then scores."""


@runtime_checkable
class ReadsNoise(Protocol):
    """A reward that adds noise to what it reads, at a level that can be chosen."""

    def read_at(self, noise_level: float | tuple[float, ...]) -> BindableReward:
        """Return the same reward, reading at another level, or at several as an ensemble."""


@runtime_checkable
class SaysPreference(Protocol):
    """A reward of pictures that says how sure a preference between two of its scores is."""

    def preferred(self, margin: Tensor) -> Tensor:
        """P(first preferred) from the margin of two scores."""


@runtime_checkable
class KnownByContent(Protocol):
    """A reward that says itself what its scores depend on, where that lies out of reach."""

    @property
    def content(self) -> str:
        """A text that differs where the scores do."""


@final
class OnPictures(BoundReward):
    """A reward of pictures: latents are decoded, once a score."""

    decodings = 1

    def __init__(self, reward: Reward, generator: HostGenerator) -> None:
        self._reward, self._generator = reward, generator

    def raw(self, latents: Tensor, prompts: Sequence[str], seed: int, conditioning: Conditioning | None) -> Scores:
        """Score the decoded pictures."""
        return self._reward(self._generator.images(latents), list(prompts)).float()

    def likelihood(self) -> Likelihood | None:
        """That of the reward, where it has one."""
        return self._reward.preferred if isinstance(self._reward, SaysPreference) else None


@final
class OnLatents(BoundReward):
    """A reward of latents that needs nothing but the prompts' words."""

    def __init__(self, reward: Reward) -> None:
        self._reward = reward

    def raw(self, latents: Tensor, prompts: Sequence[str], seed: int, conditioning: Conditioning | None) -> Scores:
        """Score the latents as they are."""
        return self._reward(latents.float(), list(prompts)).float()


class PixelReward:
    """The part that all rewards of pictures share: inherit from it, and a reward of one's own can be bound."""

    kind: ClassVar[RewardKind] = "pixel"

    def bound_to(self, generator: HostGenerator) -> BoundReward:
        """Bind to a generator: its latents are decoded, then scored."""
        assert isinstance(self, Reward)
        return OnPictures(self, generator)


def check_images(where: str, images: Tensor, prompts: Sequence[str]) -> None:
    """Refuse what is no batch of images (batch, 3, height, width) in [0, 1] with one prompt each (ValueError)."""
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise DinaError(f"{where}: images of shape {tuple(images.shape)}; accepted: (batch, 3, height, width)")
    if len(prompts) != len(images):
        raise DinaError(f"{where}: {len(images)} images and {len(prompts)} prompts; accepted: one prompt an image")
    if not images.is_floating_point() or not bool(((images >= -1e-3) & (images <= 1 + 1e-3)).all()):
        raise DinaError(f"{where}: images must be floats in [0, 1], finite")


def ready(model: Model) -> Model:
    """A judge's model for scoring: float32, frozen, in eval mode, on a GPU where there is one."""
    return model.float().eval().requires_grad_(False).to(default_device())


def said_of_cut_prompts(reader: str, cut: Sequence[str], count: int, limit: int) -> None:
    """Warn, with counts, of prompts that are longer than a judge reads."""
    if cut:
        told = f"{len(cut)} of {count} prompts are longer than the {limit} tokens that {reader} reads"
        warnings.warn(f"{told}, such as {cut[0]!r}", PromptTruncatedWarning, stacklevel=4)
