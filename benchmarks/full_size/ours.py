"""Our model on the same generator's folder, and a batch of comparisons on which it is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.full_size.released import taps
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.cache.batch import ComparisonBatch, SizedImages
from dina_lrm.recipes import recipe
from dina_lrm.runs.processes import Processes
from dina_lrm.training.assemble import build_model
from dina_lrm.training.batching import MicroBatch, StepInputs
from dina_lrm.training.config import ComputeSettings, TrainConfig
from dina_lrm.training.step import Stepper


def config_on(generator: Path, blocks: int, t5_tokens: int, compute: ComputeSettings) -> TrainConfig:
    """The paper's recipe on a generator's folder, in bfloat16, without an average, as the released run has none."""
    config = recipe("paper-sd35m")
    backbone = replace(
        config.model.backbone,
        pretrained=str(generator),
        revision=None,
        depth=blocks,
        visual_taps=tuple(taps(blocks)),
        text_taps=tuple(taps(blocks)),
        prompt_length=t5_tokens,
    )
    return replace(
        config,
        model=replace(config.model, backbone=backbone),
        ema=replace(config.ema, enabled=False),
        compute=replace(compute, precision="bf16"),
    )


def trained_by_us(config: TrainConfig, place: Path) -> Stepper:
    """The trainer's own step on a model with fresh LoRA and head."""
    model = build_model(config, torch.device("cpu"))
    return Stepper(config, model, 1_000, Processes(cpu=True), place)


def pairs_of(chosen: Tensor, rejected: Tensor, prompts: Conditioning, seed: int) -> StepInputs:
    """A step on pairs of pictures of one size, each pair with a prompt of its own."""
    pairs = len(chosen)
    groups = torch.arange(pairs).repeat_interleave(2)
    latents = torch.stack([chosen, rejected], dim=1).flatten(0, 1)
    images = SizedImages(latents, prompts[groups], torch.arange(pairs), groups, torch.arange(len(latents)))
    first = torch.arange(0, 2 * pairs, 2)
    batch = ComparisonBatch((images,), first, first + 1, torch.arange(pairs), torch.ones(pairs), torch.ones(pairs))
    draw = torch.Generator().manual_seed(seed)
    noise = [torch.randn(pairs, *latents.shape[1:], generator=draw)]
    levels = torch.rand(pairs, generator=draw)
    return StepInputs(0, [MicroBatch([str(n) for n in range(pairs)], batch, levels, noise)], float(pairs))


def random_prompts(t5_tokens: int, count: int, seed: int) -> Conditioning:
    """Random states of the shape that prompts have: how long they take is not what they say."""
    draw = torch.Generator().manual_seed(seed)
    return Conditioning(
        torch.randn(count, 77 + t5_tokens, 4096, generator=draw).to(torch.bfloat16),
        torch.randn(count, 2048, generator=draw).to(torch.bfloat16),
    )
