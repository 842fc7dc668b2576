"""Loads the models that a server is told of."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dina_lrm.backbones.prompt_rows import PREFIX
from dina_lrm.locate import locate_reward_model
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.contents import weights_hash
from dina_lrm.rewards.names import is_reward, load_reward
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.latent import LatentServed
from dina_lrm.serving.reward import PictureServed
from dina_lrm.serving.served import Served
from dina_lrm.serving.settings import ServerSettings
from dina_lrm.typed import DinaError


def load_engine(
    settings: ServerSettings,
    told: Callable[[str], None] = lambda _: None,
    device: str | None = None,
    dtype: torch.dtype | None = None,
) -> Engine:
    """Load every model; `told` hears a sentence about each.

    Raises:
        ValueError: a model that is none, a reward that reads neither latents nor pictures.
    """
    served = []
    for name, where in settings.named().items():
        served.append(_served(name, where, settings.strict, device, dtype))
        told(f"{name}: {where}")
    wait = settings.max_wait_ms / 1000
    return Engine(served, settings.limits, most=settings.max_batch_size, wait=wait)


def _served(name: str, where: str, strict: bool, device: str | None, dtype: torch.dtype | None) -> Served:
    if is_reward(where):
        reward = load_reward(where)
        if reward.kind != "pixel":
            raise DinaError(f"serve: {where}; accepted: latent reward models, and rewards of pictures")
        return PictureServed(name, reward)
    place = where.removeprefix("latent:")
    model = LatentRewardModel.from_pretrained(place, device=device or "auto", dtype=dtype)
    return LatentServed(name, model, PREFIX + weights_hash(locate_reward_model(place)), strict)
