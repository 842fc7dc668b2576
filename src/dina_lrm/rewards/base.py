"""What a reward is, and the table of those this library has.

A new reward is one class that fits `Reward` and one row of `REWARDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float32
from torch import Tensor

RewardKind = Literal["pixel", "latent"]


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


@dataclass(frozen=True)
class RewardFamily:
    """Where a reward's class is; `class.load(model)` makes one from the name of its weights.

    `default` is the model of a name without one: a published hub id, or "" for a reward without weights; None where a
    model must be named.
    """

    about: str
    module: str
    class_name: str
    default: str | None = None


REWARDS: dict[str, RewardFamily] = {
    "latent": RewardFamily("a latent reward model, on latents", "dina_lrm.rewards.latent", "LatentReward"),
    "image": RewardFamily("a latent reward model, on images", "dina_lrm.rewards.latent", "ImageReward"),
    "clip": RewardFamily(
        "CLIP's cosine times 100", "dina_lrm.rewards.clip", "ClipScore", "openai/clip-vit-large-patch14"
    ),
    "pickscore": RewardFamily("PickScore", "dina_lrm.rewards.clip", "PickScore", "yuvalkirstain/PickScore_v1"),
    "hpsv2": RewardFamily("HPSv2, converted to a transformers CLIP", "dina_lrm.rewards.clip", "ClipScore"),
    "vlm": RewardFamily("UnifiedReward, or another model asked for a score", "dina_lrm.rewards.vlm", "VlmJudge"),
    "sharpness": RewardFamily("variance of the Laplacian", "dina_lrm.rewards.heuristics", "Sharpness", ""),
    "colourfulness": RewardFamily("spread of opponent colours", "dina_lrm.rewards.heuristics", "Colourfulness", ""),
    "jpeg-size": RewardFamily("minus bits a pixel as JPEG", "dina_lrm.rewards.heuristics", "JpegSize", ""),
    "mixture": RewardFamily("a JSON file of weighted rewards", "dina_lrm.rewards.mixture", "Mixture"),
    "python": RewardFamily("MODULE.FUNCTION(images, prompts)", "dina_lrm.rewards.function", "FunctionReward"),
}


def reward_family(name: str) -> tuple[str, str]:
    """Family and model of a reward's name "FAMILY:MODEL", or "FAMILY" where that has a model of its own.

    Raises:
        ValueError: an unknown family, or no model given where one is needed.
    """
    family, _, model = name.partition(":")
    row = REWARDS.get(family)
    if row is None or not (model or row.default is not None):
        known = ", ".join(
            f"{known}{':MODEL' if row.default is None else '[:MODEL]' if row.default else ''} ({row.about})"
            for known, row in sorted(REWARDS.items())
        )
        raise ValueError(f"reward {name!r}; accepted: {known}")
    return family, model or row.default or ""


def load_reward(name: str) -> Reward:
    """The reward "FAMILY:MODEL", such as "latent:synthetic"; a family is a row of `REWARDS`.

    Raises:
        ValueError: an unknown family, no model given, or weights that are not there or do not fit.
    """
    family, model = reward_family(name)
    row = REWARDS[family]
    reward: Reward = getattr(import_module(row.module), row.class_name).load(model)
    return reward


def check_images(where: str, images: Tensor, prompts: Sequence[str]) -> None:
    """Refuse what is no batch of images (batch, 3, height, width) in [0, 1] with one prompt each (ValueError)."""
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"{where}: images of shape {tuple(images.shape)}; accepted: (batch, 3, height, width)")
    if len(prompts) != len(images):
        raise ValueError(f"{where}: {len(images)} images and {len(prompts)} prompts; accepted: one prompt an image")
    if not images.is_floating_point() or not bool(((images >= -1e-3) & (images <= 1 + 1e-3)).all()):
        raise ValueError(f"{where}: images must be floats in [0, 1], finite")
