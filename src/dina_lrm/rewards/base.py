"""What a reward is, and the table of those this library has.

A new reward is one class that fits `Reward` and one row of `REWARDS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from dina_lrm.reward_model.inputs import PromptTruncatedWarning

RewardKind = Literal["pixel", "latent"]
Model = TypeVar("Model", bound=nn.Module)


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
    """Where a reward is; `loader`, a function or a class's `load`, makes one from the name of its weights.

    `default` is the model of a name without one: a published hub id, or "" for a reward without weights; None where a
    model must be named.
    """

    about: str
    module: str
    loader: str
    default: str | None = None


REWARDS: dict[str, RewardFamily] = {
    "latent": RewardFamily("a latent reward model, on latents", "dina_lrm.rewards.latent", "LatentReward.load"),
    "image": RewardFamily("a latent reward model, on images", "dina_lrm.rewards.latent", "ImageReward.load"),
    "clip": RewardFamily(
        "CLIP's cosine times 100", "dina_lrm.rewards.clip", "load_clip", "openai/clip-vit-large-patch14"
    ),
    "pickscore": RewardFamily("PickScore", "dina_lrm.rewards.clip", "load_pickscore", "yuvalkirstain/PickScore_v1"),
    "hpsv2": RewardFamily("HPSv2, its cosine times 100", "dina_lrm.rewards.hpsv2", "load_hpsv2", "xswu/HPSv2"),
    "hpsv3": RewardFamily("HPSv3", "dina_lrm.rewards.hpsv3", "HpsV3.load", "MizzenAI/HPSv3"),
    "imagereward": RewardFamily("ImageReward", "dina_lrm.rewards.blip", "BlipReward.load", "zai-org/ImageReward"),
    "mps": RewardFamily("MPS, overall", "dina_lrm.rewards.mps", "Mps.load"),
    "aesthetic": RewardFamily("LAION's aesthetic predictor", "dina_lrm.rewards.aesthetic", "Aesthetic.load"),
    "vlm": RewardFamily("UnifiedReward, or another model asked for a score", "dina_lrm.rewards.vlm", "VlmJudge.load"),
    "sharpness": RewardFamily("variance of the Laplacian", "dina_lrm.rewards.heuristics", "Sharpness.load", ""),
    "high-frequency": RewardFamily(
        "share of fine texture, for a penalty", "dina_lrm.rewards.heuristics", "HighFrequency.load", ""
    ),
    "colourfulness": RewardFamily(
        "spread of opponent colours", "dina_lrm.rewards.heuristics", "Colourfulness.load", ""
    ),
    "jpeg-size": RewardFamily("minus bits a pixel as JPEG", "dina_lrm.rewards.heuristics", "JpegSize.load", ""),
    "cnn": RewardFamily(
        "a small network for the synthetic world's pictures", "dina_lrm.rewards.cnn", "CnnReward.load", "synthetic-cnn"
    ),
    "remote": RewardFamily(
        "a latent reward model on a server, by its address", "dina_lrm.rewards.remote", "RemoteReward.load"
    ),
    "mixture": RewardFamily("a JSON file of weighted rewards", "dina_lrm.rewards.mixture", "Mixture.load"),
    "python": RewardFamily("MODULE.FUNCTION(images, prompts)", "dina_lrm.rewards.function", "FunctionReward.load"),
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


def is_reward(name: str) -> bool:
    """Whether a name is that of a reward ("clip:MODEL", "sharpness") rather than of a latent reward model."""
    family = name.partition(":")[0]
    return family in REWARDS and family not in ("latent", "image") and not Path(name).exists()


def check_rewards(names: Iterable[str]) -> None:
    """ValueError for a name that is no reward's, before anything is loaded or drawn."""
    for name in names:
        reward_family(name)


def load_reward(name: str) -> Reward:
    """The reward "FAMILY:MODEL", such as "latent:synthetic"; a family is a row of `REWARDS`.

    Raises:
        ValueError: an unknown family, no model given, or weights that are not there or do not fit.
    """
    family, model = reward_family(name)
    row = REWARDS[family]
    reward: Reward = attrgetter(row.loader)(import_module(row.module))(model)
    return reward


def check_images(where: str, images: Tensor, prompts: Sequence[str]) -> None:
    """Refuse what is no batch of images (batch, 3, height, width) in [0, 1] with one prompt each (ValueError)."""
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"{where}: images of shape {tuple(images.shape)}; accepted: (batch, 3, height, width)")
    if len(prompts) != len(images):
        raise ValueError(f"{where}: {len(images)} images and {len(prompts)} prompts; accepted: one prompt an image")
    if not images.is_floating_point() or not bool(((images >= -1e-3) & (images <= 1 + 1e-3)).all()):
        raise ValueError(f"{where}: images must be floats in [0, 1], finite")


def ready(model: Model) -> Model:
    """A judge's model for scoring: float32, frozen, in eval mode, on a GPU where there is one."""
    place = "cuda" if torch.cuda.is_available() else "cpu"
    return model.float().eval().requires_grad_(False).to(place)


def said_of_cut_prompts(reader: str, cut: Sequence[str], count: int, limit: int) -> None:
    """Warn, with counts, of prompts that are longer than a judge reads."""
    if cut:
        told = f"{len(cut)} of {count} prompts are longer than the {limit} tokens that {reader} reads"
        warnings.warn(f"{told}, such as {cut[0]!r}", PromptTruncatedWarning, stacklevel=4)
