"""Estimates of the jobs that learn: train and align."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.backbones.families import FAMILIES
from dina_lrm.backbones.settings import EncoderSettings, LoraSettings
from dina_lrm.backbones.weight_files import DIFFUSERS, tensor_files
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.heads.pooled import PooledHead
from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.settings import HeadConfig, PooledConfig
from dina_lrm.precision import compute_dtype
from dina_lrm.profiling.estimates.estimate import JobEstimate, Load, Phase
from dina_lrm.profiling.estimates.generator import GeneratorSize, generator_size
from dina_lrm.profiling.estimates.reading import held_encoders
from dina_lrm.profiling.estimates.sampling import whole_generator
from dina_lrm.runs.tensor_files import opened_tensors
from dina_lrm.training.config import TrainConfig

LEARNING_BYTES: Final = 4 + 4 + 8 + 4
"""Of a number that learns: itself, its gradient, AdamW's two moments, its moving average, all float32."""
STORED_BYTES: Final = 4 + 8 + 4
"""Of one in a checkpoint: itself, the moments, the average."""
COPY_BYTES: Final = 4
"""Of one in an older copy of the policy, held and stored."""
KEPT: Final = 32
"""Tensors of a token's width that a block keeps for the way back, without attention matrices; 9 GiB for a pair at 1024
pixels on the paper's backbone, as `dina-lrm profile` counts it."""
KEPT_CHECKPOINTED: Final = 2
"""The same where activations are computed again."""


@dataclass(frozen=True)
class Training:
    """What training takes: its backbone, what learns, and the activations of the pairs that are held at once."""

    config: TrainConfig
    encodes: bool
    """Whether comparisons are still to be encoded, before training."""
    device: str = "cpu"
    processes: int = 1
    encoders: EncoderSettings = EncoderSettings()  # noqa: RUF009 - it is frozen

    def estimate(self) -> JobEstimate:
        """By headers and configurations. Raises as loading the generator does."""
        config = self.config
        dtype = compute_dtype(config.compute.precision, self.device)
        size = generator_size(config.model.backbone, dtype, autoencoder=self.encodes, text_encoders=self.encodes)
        learned = self.learned(size)
        held = Load("what learns, with gradient, moments and average", "float32", learned * LEARNING_BYTES)
        model = sum(size.bytes("model"))
        phases = [Phase("training", model + held.bytes, self._activations(size))]
        if self.encodes:
            encoders = held_encoders(size, self.encoders, config.model.backbone.t5_weights)
            most = max([*encoders, *size.bytes("autoencoder")], default=0)
            work = size.picture_bytes(config.model.sizes.most_pixels, 16, self.device)
            phases.append(Phase("encoding", model + most, work))
        kept = config.log.keep_last + 1  # one is written while the others are there
        return JobEstimate(
            job="train",
            device=self.device,
            loads=(*size.loads(), held),
            phases=tuple(phases),
            disk=learned * (STORED_BYTES * kept + 4),
            uncounted=("that pairs may share pictures", *(("the cache of comparisons",) if self.encodes else ())),
            ways=tuple(self._ways(dtype)),
        )

    def learned(self, size: GeneratorSize) -> int:
        """Numbers that learn: head, and LoRA or all of the backbone that is read."""
        adaptation = self.config.adaptation
        head = head_numbers(self.config.model.chosen_head, size)
        if adaptation.kind == "full":
            return head + size.parameters("model")
        return head + (lora_numbers(adaptation.lora, size) if adaptation.kind == "lora" else 0)

    def _activations(self, size: GeneratorSize) -> int:
        compute, config = self.config.compute, self.config
        pairs = math.ceil(config.batch_size / (compute.accumulation * self.processes))
        states = KEPT_CHECKPOINTED if compute.gradient_checkpointing else KEPT
        tokens = size.tokens(config.model.sizes.most_pixels) * config.objective.noise_levels.together
        blocks = config.model.backbone.depth
        whole = states * blocks + (KEPT if compute.gradient_checkpointing else 0)
        return 2 * pairs * tokens * whole * size.anatomy.width * size.dtype.itemsize

    def _ways(self, dtype: torch.dtype) -> list[tuple[str, Callable[[], JobEstimate]]]:
        compute = self.config.compute
        pairs = self.config.batch_size
        found: list[tuple[str, Any]] = []
        if not compute.gradient_checkpointing:
            found.append(("--compute.gradient-checkpointing", replace(compute, gradient_checkpointing=True)))
        if compute.accumulation < pairs:
            found.append((f"--compute.accumulation {pairs}", replace(compute, accumulation=pairs)))
        if dtype == torch.float32:
            found.append(("--dtype bfloat16", replace(compute, precision="bf16")))
        every = replace(compute, gradient_checkpointing=True, accumulation=pairs, precision="bf16")
        words = f"--compute.gradient-checkpointing --compute.accumulation {pairs} --dtype bfloat16"
        return [
            (option, replace(self, config=replace(self.config, compute=chosen)).estimate)
            for option, chosen in (*found, (words, every))
        ]


@dataclass(frozen=True)
class Aligning:
    """What aligning takes at least: the whole generator with its encoders, which stay."""

    config: AlignConfig
    device: str = "cpu"

    def estimate(self) -> JobEstimate:
        """By headers and configurations; activations and rewards are not counted: `--dry-run` measures them."""
        settings: GeneratorSettings = self.config.generator
        size = whole_generator(settings, self.device)
        learned = lora_numbers(LoraSettings(rank=settings.rank), size)
        copies = COPY_BYTES * self.config.copies
        held = Load("the LoRA, with gradient, moments and average", "float32", learned * (LEARNING_BYTES + copies))
        loads = (*size.loads(), held)
        generator = replace(settings, precision="bf16")
        narrower = replace(self, config=replace(self.config, generator=generator))
        ways = (("--dtype bfloat16", narrower.estimate),) if size.dtype == torch.float32 else ()
        return JobEstimate(
            job=f"align {self.config.algorithm}",
            device=self.device,
            loads=loads,
            phases=(Phase("aligning", sum(load.bytes for load in loads)),),
            disk=learned * (STORED_BYTES + copies),
            uncounted=("activations", "rewards that are no part of the generator"),
            ways=ways,
        )


def head_numbers(config: HeadConfig, size: GeneratorSize) -> int:
    """Numbers of a head, with every tap as wide as the widest and the time embedding too: as in a transformer."""
    width, backbone = size.anatomy.width, size.config
    with torch.device("meta"):
        if isinstance(config, PooledConfig):
            return sum(each.numel() for each in PooledHead(config, [width], config.width or width).parameters())
        head = QFormerHead(config, [width] * len(backbone.visual_taps), [width] * len(backbone.text_taps), width)
    return sum(each.numel() for each in head.parameters())


def lora_numbers(lora: LoraSettings, size: GeneratorSize) -> int:
    """Numbers of a LoRA: rank times the sides of each matrix that it is added to, by the headers of the model."""
    family = FAMILIES[size.config.family].load_class()
    _, kept = family.stored_part(size.config, size.anatomy.folder)
    ends = tuple(f".{target}.weight" for target in lora.targets or family.lora_targets)
    [model] = [part for part in size.parts if part.role == "model"]
    files: dict[Path, list[str]] = {}
    for name, path in tensor_files(model.folder, DIFFUSERS).items():
        if name.endswith(ends) and kept.covers(name):
            files.setdefault(path, []).append(name)
    sides = 0
    for path, names in files.items():
        with opened_tensors(path) as tensors:
            sides += sum(sum(tensors.get_slice(name).get_shape()[:2]) for name in names)
    return lora.rank * sides
