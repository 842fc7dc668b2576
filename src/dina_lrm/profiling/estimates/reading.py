"""Estimates of the jobs that read pictures with models at hand: prepare, score, evaluate and those like them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from dina_lrm.backbones.anatomy import anatomy_of
from dina_lrm.backbones.families import FAMILIES
from dina_lrm.backbones.settings import BackboneConfig, EncoderSettings, T5Weights
from dina_lrm.data.buckets import Sizes
from dina_lrm.locate import locate_reward_model
from dina_lrm.precision import preferred_dtype
from dina_lrm.profiling.estimates.estimate import JobEstimate, Load, Phase, phases_of
from dina_lrm.profiling.estimates.generator import GeneratorSize, generator_size
from dina_lrm.profiling.estimates.room import free_room
from dina_lrm.reward_model.formats import ours as checkpoint
from dina_lrm.rewards.names import is_reward

LATENT: Final = ("latent", "image")
"""Families of rewards that are latent reward models."""
_SMALL: Final = 2**30
"""Text encoders of fewer bytes stay in memory; more do where half of what is free holds them."""


@dataclass(frozen=True)
class Preparing:
    """What encoding so many pictures and prompts of comparisons takes, stored as `stored`."""

    generator: str
    pictures: int = 0
    prompts: int = 0
    batch_size: int = 16
    sizes: Sizes | None = None
    """Of pictures; of several areas the largest is counted. None is the generator's own."""
    prompt_length: int | None = None
    stored: torch.dtype = torch.bfloat16
    revision: str | None = None
    device: str = "cpu"
    compute: torch.dtype | None = None
    processes: int = 1
    encoders: EncoderSettings = EncoderSettings()  # noqa: RUF009 - it is frozen
    t5_weights: T5Weights = "stored"

    def estimate(self) -> JobEstimate:
        """By the headers and configurations of the generator. Raises as loading it does."""
        anatomy = anatomy_of(self.generator, self.revision)
        length = anatomy.prompt_length if self.prompt_length is None else self.prompt_length
        config = replace(anatomy.backbone(self.generator, 1, self.revision), prompt_length=length)
        size = generator_size(config, computing_dtype(self.device, self.compute))
        pixels = (anatomy.resolution or 1024) ** 2 if self.sizes is None else self.sizes.most_pixels
        disk = size.stored_bytes(pixels, self.pictures, self.prompts, self.stored) if self.pictures else None
        flops = self.pictures * size.picture_flops(pixels) + self.prompts * size.prompt_flops()
        return JobEstimate(
            job="prepare",
            device=self.device,
            loads=size.loads(),
            phases=_phases(
                size,
                size.bytes("model"),
                pixels,
                self.batch_size,
                self.device,
                0,
                held_encoders(size, self.encoders, self.t5_weights),
                self.processes,
            ),
            disk=disk,
            flops=flops,
            dtype=size.dtype,
            counts={"pictures": self.pictures, "prompts": self.prompts} if self.pictures else {},
            uncounted=_uncounted(size),
            ways=tuple(self._ways(config)),
        )

    def _ways(self, config: BackboneConfig) -> list[tuple[str, Callable[[], JobEstimate]]]:
        ways = [("--batch-size 1", replace(self, batch_size=1))] if self.batch_size > 1 else []
        if not self.encoders.offload:
            ways.append(("--offload-encoders", replace(self, encoders=EncoderSettings(offload=True))))
        if config.prompt_length and FAMILIES[config.family].load_class().least_prompt_length == 0:
            ways += [
                (f"{before}--prompt-length 0, without the long text encoder", replace(each, prompt_length=0))
                for before, each in [("", self), *((f"{option} ", way) for option, way in ways)]
            ]
        return [(option, way.estimate) for option, way in ways]


@dataclass(frozen=True)
class Scoring:
    """What scoring so many pictures for prompts takes, by the reward of a name; see `score_files_by`."""

    model: str
    pictures: int = 0
    prompts: int = 0
    batch_size: int = 16
    levels: int = 1
    device: str = "cpu"
    dtype: torch.dtype | None = None
    backbone: str | None = None
    revision: str | None = None
    job: str = "score"
    encoders: EncoderSettings = EncoderSettings()  # noqa: RUF009 - it is frozen
    t5_weights: T5Weights | None = None
    """None is as the model says."""

    def estimate(self) -> JobEstimate:
        """By headers and configurations. Raises as loading the model does; of other rewards nothing is counted."""
        counts = {"pictures": self.pictures, "prompts": self.prompts} if self.pictures else {}
        if is_reward(self.model):
            return JobEstimate(self.job, self.device, (), (), counts=counts, uncounted=(f"the reward {self.model}",))
        family, _, rest = self.model.partition(":")
        name = rest if family in LATENT and rest else self.model
        config = checkpoint.read(name, self.revision, self.backbone).config
        size = generator_size(config.backbone, computing_dtype(self.device, self.dtype))
        own, pixels = stored_weights(name, self.revision), config.sizes.most_pixels
        encoders = held_encoders(size, self.encoders, self.t5_weights or config.backbone.t5_weights)
        flops = self.pictures * (size.picture_flops(pixels) + self.levels * size.token_flops(pixels))
        flops += self.prompts * size.prompt_flops()
        return JobEstimate(
            job=self.job,
            device=self.device,
            loads=(*size.loads(), own),
            phases=_phases(size, [*size.bytes("model"), own.bytes], pixels, self.batch_size, self.device, 1, encoders),
            flops=flops,
            dtype=size.dtype,
            counts=counts,
            uncounted=_uncounted(size),
            ways=tuple((option, way.estimate) for option, way in self._ways(size)),
        )

    def _ways(self, size: GeneratorSize) -> list[tuple[str, Scoring]]:
        found = _narrower(self, size.dtype == torch.float32, self.batch_size > 1)
        if max(size.bytes("text encoder"), default=0) < _SMALL:
            return found
        if not self.encoders.offload:
            offloaded = EncoderSettings(offload=True)
            found.append(("--offload-encoders", replace(self, encoders=offloaded)))
            found += [(f"{option} --offload-encoders", replace(way, encoders=offloaded)) for option, way in found[:1]]
        if self.t5_weights == "8bit":
            return found
        rounded = [(f"{option} --t5-weights 8bit", replace(way, t5_weights="8bit")) for option, way in found[:1]]
        return [*found, ("--t5-weights 8bit", replace(self, t5_weights="8bit")), *rounded]


def _narrower(scoring: Scoring, wide: bool, several: bool) -> list[tuple[str, Scoring]]:
    narrow = [("--dtype bfloat16", replace(scoring, dtype=torch.bfloat16))] if wide else []
    one = [("--batch-size 1", replace(scoring, batch_size=1))] if several else []
    both = [("--dtype bfloat16 --batch-size 1", replace(narrow[0][1], batch_size=1))] if narrow and one else []
    return narrow + one + both


@dataclass(frozen=True)
class Evaluating:
    """What measuring several judges takes: they are loaded one after the other."""

    models: Sequence[str]
    batch_size: int = 64
    device: str = "cpu"
    dtype: torch.dtype | None = None
    backbone: str | None = None
    encoders: EncoderSettings = EncoderSettings()  # noqa: RUF009 - it is frozen
    t5_weights: T5Weights | None = None

    def estimate(self) -> JobEstimate:
        """Of the judge that takes most; what the sets hold is known only when they are read."""
        found = [self._found(name) for name in self.models]
        most = max(found, key=lambda one: one.peak)
        uncounted = dict.fromkeys(told for one in found for told in one.uncounted)
        return replace(most, job="evaluate", uncounted=(*uncounted, "the pairs of the sets"), flops=0.0, counts={})

    def _found(self, name: str) -> JobEstimate:
        """Nothing of a judge that cannot be loaded: that is found, and told, when it is its turn."""
        try:
            return self._judge(name).estimate()
        except (ValueError, OSError):
            return JobEstimate("evaluate", self.device, (), (), uncounted=(f"the judge {name}",))

    def _judge(self, name: str) -> Scoring:
        pairs = min(self.batch_size, 16) * 2
        return Scoring(
            name,
            batch_size=pairs,
            device=self.device,
            dtype=self.dtype,
            backbone=self.backbone,
            job="evaluate",
            encoders=self.encoders,
            t5_weights=self.t5_weights,
        )


def computing_dtype(device: str, dtype: torch.dtype | None) -> torch.dtype:
    """The type that a model is loaded in where `dtype` is asked for, or nothing."""
    if dtype is not None:
        return dtype
    return torch.float32 if torch.device(device).type == "cpu" else preferred_dtype(device)


def stored_weights(name: str, revision: str | None) -> Load:
    """Head and LoRA of a stored reward model, which are held in float32, by the sizes of their files."""
    folder = locate_reward_model(name, revision)
    files = [path for path in Path(folder).rglob("*.safetensors")]
    return Load("head and LoRA", "float32", sum(path.stat().st_size for path in files))


def held_encoders(size: GeneratorSize, held: EncoderSettings, t5_weights: T5Weights) -> list[int]:
    """What each text encoder takes where the job computes; nothing where they wait in their files."""
    found = sorted(size.bytes("text encoder"))
    if held.offload or not found:
        return []
    if t5_weights == "8bit":
        found[-1] //= 2  # of 16 bits
    return found


def _phases(
    size: GeneratorSize,
    kept: Sequence[int],
    pixels: int,
    batch: int,
    device: str,
    levels: int,
    encoders: Sequence[int],
    processes: int = 1,
) -> tuple[Phase, ...]:
    """Prompts, pictures and scores, one after the other; small text encoders stay meanwhile, others go.

    Several processes share the files of text encoders, which are mapped, and have all else of their own. On the host
    the pages of a layer go behind it.
    """
    free = free_room(device).memory
    # As they are held: see `backbones.folder_parts`
    stay = sum(encoders) < _SMALL or free is None or sum(encoders) <= (free - sum(kept)) // 2
    rest = processes * sum(kept) + (sum(encoders) if stay else 0)
    autoencoder = processes * sum(size.bytes("autoencoder"))
    mapped = torch.device(device).type == "cpu" and sum(encoders) == sum(size.bytes("text encoder"))  # none is rounded
    turns = size.bytes_in_turn("text encoder") if mapped else encoders
    prompts = Phase("encoding prompts", 0 if stay else max(turns, default=0))
    pictures = Phase("encoding pictures", autoencoder, processes * size.picture_bytes(pixels, batch, device))
    scores = [Phase("scoring", autoencoder, batch * size.state_bytes(pixels))] if levels else []
    return phases_of(rest, prompts, pictures, *scores)


def _uncounted(size: GeneratorSize) -> tuple[str, ...]:
    known = size.autoencoder.get("block_out_channels")
    return () if known else ("what the autoencoder computes with",)
