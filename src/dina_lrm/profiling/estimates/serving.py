"""The estimate of a server, whose models all stay in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dina_lrm.backbones.settings import BackboneConfig, EncoderSettings, T5Weights
from dina_lrm.locate import BUNDLED, GENERATOR_FILES_OF_LATENTS, locate_generator
from dina_lrm.profiling.estimates.estimate import JobEstimate, Load, Phase
from dina_lrm.profiling.estimates.generator import GeneratorSize, generator_size
from dina_lrm.profiling.estimates.reading import LATENT, computing_dtype, held_encoders, stored_weights
from dina_lrm.profiling.estimates.room import free_room
from dina_lrm.reward_model.formats import ours as checkpoint
from dina_lrm.rewards.names import is_reward, parsed_name
from dina_lrm.serving.settings import ServerSettings


@dataclass(frozen=True)
class Serving:
    """What serving models by name takes: all stay in memory, text encoders too; one generator is loaded once."""

    models: Mapping[str, str]
    text_encoders: bool = True
    device: str = "cpu"
    dtype: torch.dtype | None = None
    backbone: str | None = None
    encoders: EncoderSettings = EncoderSettings()  # noqa: RUF009 - it is frozen
    t5_weights: T5Weights | None = None

    def estimate(self) -> JobEstimate:
        """The sum over the generators, each as deep as its deepest reader."""
        latent = {name: place for name, place in self.models.items() if _is_latent(place)}
        loads: list[Load] = []
        sizes: dict[tuple[str, str | None], GeneratorSize] = {}
        for name, where in latent.items():
            place = where.partition(":")[2] if parsed_name(where)[0] in LATENT else where
            config = checkpoint.read(place, None, self.backbone).config
            backbone = config.backbone if self.text_encoders else _without_text(config.backbone)
            own = stored_weights(place, None)
            loads.append(replace(own, name=f"{name} ({own.name})"))
            key = (backbone.pretrained, backbone.revision)
            if key not in sizes or sizes[key].config.depth < backbone.depth:
                dtype = computing_dtype(self.device, self.dtype)
                sizes[key] = generator_size(backbone, dtype, text_encoders=self.text_encoders)
        loads += [load for size in sizes.values() for load in size.loads()]
        held = sum(load.bytes for load in loads) - sum(self._not_held(size) for size in sizes.values())
        other = [place for place in self.models.values() if not _is_latent(place)]
        wide = bool(sizes) and computing_dtype(self.device, self.dtype) == torch.float32
        ways = [("--dtype bfloat16", replace(self, dtype=torch.bfloat16))] if wide else []
        if self.text_encoders and sizes:
            if not self.encoders.offload:
                ways.append(("--offload-encoders", replace(self, encoders=EncoderSettings(offload=True))))
            ways.append(("--no-text-encoders", replace(self, text_encoders=False)))
        return JobEstimate(
            job="serve",
            device=self.device,
            loads=tuple(loads),
            phases=(Phase("serving", held),) if loads else (),
            uncounted=("pictures that are being scored", *(f"the reward {place}" for place in other)),
            ways=tuple((option, way.estimate) for option, way in ways),
        )

    def _not_held(self, size: GeneratorSize) -> int:
        """Bytes of text encoders that are not held as they are stored."""
        held = held_encoders(size, self.encoders, self.t5_weights or size.config.t5_weights)
        return sum(size.bytes("text encoder")) - sum(held)


def serving_of(settings: ServerSettings, device: str, dtype: torch.dtype | None) -> Serving:
    """What a server of these settings takes."""
    held, t5_weights = EncoderSettings(offload=settings.offload_encoders), settings.t5_weights
    return Serving(settings.named(), settings.text_encoders, device, dtype, settings.backbone, held, t5_weights)


def refuse_serving(settings: ServerSettings, device: str, dtype: torch.dtype | None) -> None:
    """Raise DinaError for models that do not fit into what is free."""
    serving_of(settings, device, dtype).estimate().refuse(free_room(device))


def _without_text(config: BackboneConfig) -> BackboneConfig:
    """A generator of the hub, where it lies without the weights of its text encoders."""
    if config.pretrained in BUNDLED or Path(config.pretrained).expanduser().exists():
        return config
    folder = locate_generator(config.pretrained, config.revision, GENERATOR_FILES_OF_LATENTS)
    return replace(config, pretrained=str(folder), revision=None)


def _is_latent(place: str) -> bool:
    return not is_reward(place) or parsed_name(place)[0] in LATENT
