"""The table of rewards, and the one grammar of their names: "FAMILY:MODEL".

A new reward is one class that fits `Reward` and one row of `REWARDS`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path

from dina_lrm.locate import split_score
from dina_lrm.model_folders import one_load_at_a_time
from dina_lrm.rewards.base import BindableReward, HostGenerator, NoiseLevels, ReadsNoise
from dina_lrm.rewards.gradients import check_gradient
from dina_lrm.typed import DinaError


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
    shares: bool = False
    """Whether the loader also takes the generator that the reward is for, whose weights it then shares."""


_JUDGES = "dina_lrm.rewards.judges"
REWARDS: dict[str, RewardFamily] = {
    "latent": RewardFamily(
        "a latent reward model, on latents", "dina_lrm.rewards.latent", "LatentReward.load", shares=True
    ),
    "image": RewardFamily("a latent reward model, on images", "dina_lrm.rewards.latent", "ImageReward.load"),
    "clip": RewardFamily("CLIP's cosine times 100", f"{_JUDGES}.clip", "load_clip", "openai/clip-vit-large-patch14"),
    "pickscore": RewardFamily("PickScore", f"{_JUDGES}.clip", "load_pickscore", "yuvalkirstain/PickScore_v1"),
    "hpsv2": RewardFamily("HPSv2, its cosine times 100", f"{_JUDGES}.hpsv2", "load_hpsv2", "xswu/HPSv2"),
    "hpsv3": RewardFamily("HPSv3", f"{_JUDGES}.hpsv3", "HpsV3.load", "MizzenAI/HPSv3"),
    "imagereward": RewardFamily("ImageReward", f"{_JUDGES}.blip", "BlipReward.load", "zai-org/ImageReward"),
    "mps": RewardFamily("MPS, overall", f"{_JUDGES}.mps", "Mps.load"),
    "aesthetic": RewardFamily("LAION's aesthetic predictor", f"{_JUDGES}.aesthetic", "Aesthetic.load"),
    "vlm": RewardFamily("UnifiedReward, or another model asked for a score", f"{_JUDGES}.vlm", "VlmJudge.load"),
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
        "a model on a server, by http://HOST:PORT/NAME", "dina_lrm.rewards.remote", "RemoteReward.load", shares=True
    ),
    "mixture": RewardFamily("a JSON file of weighted rewards", "dina_lrm.rewards.mixture", "Mixture.load", shares=True),
    "relative": RewardFamily(
        "a reward's difference under two texts, by REWARD?good=..&bad=..",
        "dina_lrm.rewards.relative",
        "RelativeReward.load",
        shares=True,
    ),
    "python": RewardFamily("MODULE.FUNCTION(images, prompts)", "dina_lrm.rewards.function", "FunctionReward.load"),
}


def parsed_name(name: str) -> tuple[str, str]:
    """Split "FAMILY:MODEL" into family and model, "" where none is named; neither is checked."""
    family, _, model = name.partition(":")
    return family, model


def reward_family(name: str) -> tuple[str, str]:
    """Family and model of a reward's name "FAMILY:MODEL", or "FAMILY" where that has a model of its own.

    The folder of a reward model, or of the run that trained it, stands for "latent:FOLDER".

    Raises:
        ValueError: an unknown family, or no model given where one is needed.
    """
    family, model = parsed_name(name)
    row = REWARDS.get(family)
    if row is None and os.path.isdir(split_score(name)[0]):
        return "latent", name
    if row is None or not (model or row.default is not None):
        known = ", ".join(
            f"{known}{':MODEL' if row.default is None else '[:MODEL]' if row.default else ''} ({row.about})"
            for known, row in sorted(REWARDS.items())
        )
        raise DinaError(f"reward {name!r}; accepted: {known}")
    return family, model or row.default or ""


def is_reward(name: str) -> bool:
    """Whether a name is that of a reward ("clip:MODEL", "sharpness") rather than of a latent reward model."""
    family, _ = parsed_name(name)
    return family in REWARDS and family not in ("latent", "image") and not Path(name).exists()


def check_rewards(names: Iterable[str], gradient: bool = False) -> None:
    """Raise ValueError for a name that is no reward's, before anything is loaded or drawn.

    With `gradient` also for one that can have none.
    """
    for name in names:
        reward_family(name)
        check_gradient((name,) if gradient else ())


def load_reward(name: str, generator: HostGenerator | None = None, noise_level: NoiseLevels = None) -> BindableReward:
    """Load the reward "FAMILY:MODEL", such as "latent:synthetic"; a family is a row of `REWARDS`.

    A latent reward for a `generator` shares its weights. `noise_level` is where a reward reads that adds noise; None is
    the level stored with it.

    Raises:
        ValueError: an unknown family, no model given, weights that are not there or do not fit, or a noise level for a
            reward that adds no noise.
    """
    family, model = reward_family(name)
    row = REWARDS[family]
    load = attrgetter(row.loader)(import_module(row.module))
    with one_load_at_a_time() if row.module.startswith(_JUDGES) else nullcontext():
        reward: BindableReward = load(model, generator) if row.shares else load(model)
    if noise_level is None:
        return reward
    if not isinstance(reward, ReadsNoise):
        raise DinaError(
            f"reward {reward.name!r}: noise_level {noise_level}; accepted for latent:, image:, remote:, and None "
            "for all others"
        )
    return reward.read_at(noise_level)
