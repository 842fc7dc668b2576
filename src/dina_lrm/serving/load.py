"""Loads the models that a server is told of; latent reward models of one generator share its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from dina_lrm.backbones.common import can_be_common, common_pipeline, same_generator
from dina_lrm.backbones.prompt_rows import PREFIX
from dina_lrm.backbones.settings import BackboneConfig, EncoderSettings
from dina_lrm.locate import BUNDLED, GENERATOR_FILES_OF_LATENTS, locate_generator, locate_reward_model
from dina_lrm.precision import default_device
from dina_lrm.reward_model.formats import ours as checkpoint
from dina_lrm.reward_model.formats.stored import StoredModel
from dina_lrm.reward_model.kept_prompts import KeptPrompts
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.contents import weights_hash
from dina_lrm.rewards.names import is_reward, load_reward, parsed_name
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.latent import TEXT_BYTES, LatentServed
from dina_lrm.serving.reward import PictureServed
from dina_lrm.serving.served import Loaded
from dina_lrm.serving.settings import ServerSettings
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_LATENT: Final = ("latent", "image")


def load_engine(
    settings: ServerSettings,
    told: Callable[[str], None] = lambda _: None,
    device: str | None = None,
    dtype: torch.dtype | None = None,
) -> Engine:
    """Load every model; `told` hears a sentence about each.

    Latent reward models that read one generator, known by what its files hold, share its weights.

    Raises:
        ValueError: a model that is none, a reward that reads neither latents nor pictures.
    """
    place = default_device() if device in (None, "auto") else str(device)
    latent = {name: where for name, where in settings.named().items() if not is_reward(where)}
    shared = _shared(latent, settings, place, dtype)
    texts: dict[tuple[int, int, str], KeptPrompts] = {}
    served: list[Loaded] = []
    for name, where in settings.named().items():
        if name not in latent:
            served.append(_pictures(name, where))
        else:
            served.append(_latent(name, where, settings, shared.get(name), texts, place, dtype))
        beside = [other for other in shared if other != name and shared.get(name) is shared[other]]
        told(f"{name}: {where}" + (f", on one generator with {', '.join(beside)}" if beside else ""))
    for each in served:
        each.warm()
    wait = settings.max_wait_ms / 1000
    return Engine(served, settings.limits, most=settings.max_batch_size, wait=wait, own=settings.own_limits())


def _pictures(name: str, where: str) -> PictureServed:
    reward = load_reward(where)
    if reward.kind != "pixel":
        raise DinaError(f"serve: {where}; accepted: latent reward models, and rewards of pictures")
    return PictureServed(name, reward)


def _latent(
    name: str,
    where: str,
    settings: ServerSettings,
    pipeline: DiffusionPipeline | None,
    texts: dict[tuple[int, int, str], KeptPrompts],
    device: str,
    dtype: torch.dtype | None,
) -> LatentServed:
    place = _place(where)
    if pipeline is None:
        model = LatentRewardModel.from_pretrained(
            place,
            device=device,
            dtype=dtype,
            backbone=_generator(where, settings),
            encoders=_held(settings),
            t5_weights=settings.t5_weights,
        )
    else:
        model = LatentRewardModel.from_pretrained(
            place, pipeline=pipeline, backbone=settings.backbone, t5_weights=settings.t5_weights
        )
    # Models of one generator, prompt length and padding read prompts alike
    told = model.config.backbone
    key = (id(model if pipeline is None else pipeline), told.prompt_length, told.prompt_padding)
    kept = texts.setdefault(key, KeptPrompts(model, TEXT_BYTES))
    revision = PREFIX + weights_hash(locate_reward_model(place))
    return LatentServed(name, model, revision, settings.strict, settings.text_encoders, kept)


def _place(where: str) -> str:
    """Where a latent reward model is, without the name of its family."""
    family, place = parsed_name(where)
    return place if family in _LATENT else where


def _generator(where: str, settings: ServerSettings) -> str | None:
    """Where a model's generator is, when that is not where the model says.

    Without text encoders a generator of the hub is fetched without their weights.
    """
    if settings.text_encoders:
        return settings.backbone
    config = checkpoint.read(_place(where), None, settings.backbone).config.backbone
    if config.pretrained in BUNDLED or Path(config.pretrained).expanduser().exists():
        return settings.backbone
    return str(locate_generator(config.pretrained, config.revision, GENERATOR_FILES_OF_LATENTS))


def _shared(
    latent: Mapping[str, str], settings: ServerSettings, device: str, dtype: torch.dtype | None
) -> dict[str, DiffusionPipeline]:
    """The pipeline of each model that shares its generator with another, by name."""
    found = {}
    stored = {name: checkpoint.read(_place(where), None, _generator(where, settings)) for name, where in latent.items()}
    for group in _groups(stored, settings):
        if len(group) > 1:
            pipeline = common_pipeline(
                [*group.values()],
                device,
                _dtype(device, dtype),
                text_encoders=settings.text_encoders,
                encoders=_held(settings),
            )
            found.update(dict.fromkeys(group, pipeline))
    return found


def _groups(stored: Mapping[str, StoredModel], settings: ServerSettings) -> list[dict[str, BackboneConfig]]:
    """Models by name whose generators are one and the same."""
    groups: list[dict[str, BackboneConfig]] = []
    for name, model in stored.items() if len(stored) > 1 else ():
        config = _held_as(model.config.backbone, settings)
        if model.backbone is not None or model.text_encoders is not None or not can_be_common(config):
            continue  # what it reads was trained, and is its own
        for group in groups:
            other = next(iter(group.values()))
            if config.t5_weights == other.t5_weights and same_generator(other, config):
                group[name] = config
                break
        else:
            groups.append({name: config})
    return groups


def _held(settings: ServerSettings) -> EncoderSettings:
    return EncoderSettings(offload=settings.offload_encoders)


def _held_as(config: BackboneConfig, settings: ServerSettings) -> BackboneConfig:
    return config if settings.t5_weights is None else replace(config, t5_weights=settings.t5_weights)


def _dtype(device: str, dtype: torch.dtype | None) -> torch.dtype | None:
    # As a model alone: in bfloat16 a score would depend on its batch, which on the CPU has to be asked for
    return torch.float32 if dtype is None and torch.device(device).type == "cpu" else dtype
