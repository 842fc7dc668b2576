"""A tiny run: the tiny SD3 pipeline, comparisons of random latents, a config that takes a second."""

import dataclasses
import threading
import time
from pathlib import Path

import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.runs.metrics import read_lines
from dina_lrm.training.config import (
    AdaptationSettings,
    ComputeSettings,
    EmaSettings,
    LogSettings,
    ModelSettings,
    OptimizerSettings,
    TrainConfig,
)
from tests.tiny import CLIP_TOKENS, LATENT_CHANNELS, TEXT_WIDTH


def tiny_config(generator: Path, **changes) -> TrainConfig:
    """Two blocks of the tiny pipeline, LoRA of rank 2, six steps of four pairs, one line of metrics a step."""
    config = TrainConfig(
        steps=6,
        batch_size=4,
        model=ModelSettings(
            BackboneConfig("sd3", str(generator), depth=2, visual_taps=(1, 2), text_taps=(1, 2), prompt_length=0),
            resolution=32,
            head=QFormerConfig(width=16, attention_heads=2, queries=2),
        ),
        adaptation=AdaptationSettings(lora=LoraSettings(rank=2, alpha=4.0)),
        optimizer=OptimizerSettings(lr=1e-2),
        ema=EmaSettings(decay=0.9),
        compute=ComputeSettings(precision="fp32"),
        log=LogSettings(log_every=1, checkpoint_every=2, trackers=()),
    )
    return dataclasses.replace(config, **changes)


def tiny_comparisons(prompts: int = 3, images: int = 3, seed: int = 0, ties: int = 0) -> EncodedComparisons:
    """All pairs of the random latents of each prompt; the one with the larger mean is preferred."""
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(prompts * images, LATENT_CHANNELS, 4, 4, generator=generator)
    conditioning = Conditioning(
        torch.randn(prompts, CLIP_TOKENS, 2 * TEXT_WIDTH, generator=generator),
        torch.randn(prompts, 2 * TEXT_WIDTH, generator=generator),
    )
    within = torch.triu_indices(images, images, 1)
    first, second = (torch.cat([side + prompt * images for prompt in range(prompts)]) for side in within)
    quality = latents.mean(dim=(1, 2, 3))
    preference = (quality[first] > quality[second]).float()
    preference[:ties] = 0.5
    return EncodedComparisons.from_tensors(
        latents,
        conditioning,
        image_a=first,
        image_b=second,
        prompt=torch.arange(prompts).repeat_interleave(within.shape[1]),
        preference=preference,
        prompts=[f"prompt {n}" for n in range(prompts)],
        pair_id=[f"pair-{n}" for n in range(len(first))],
    )


def on_line(folder, step, act):
    """Call `act` as soon as the run has logged `step`, from a thread of this process."""

    def watch():
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            if any(line["step"] >= step for line in read_lines(folder / "metrics.jsonl")):
                act()
                return
            time.sleep(0.005)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def sized_comparisons(sizes: str = "own", seed: int = 0) -> EncodedComparisons:
    """`tiny_comparisons` of four prompts whose pictures have three sizes, or with "one" all of them the first.

    With "own" some pairs are of two sizes; with "common" the pairs of a prompt are of one, as its number says.
    """
    same = tiny_comparisons(prompts=4, images=4, seed=seed)
    pairs, image = same.pairs, torch.arange(16)
    bucket = {"own": image * 5 % 7 % 3, "common": image // 4 % 3, "one": image * 0}[sizes]
    generator = torch.Generator().manual_seed(seed)
    tables = [
        torch.randn(16, LATENT_CHANNELS, height, width, generator=generator)
        for height, width in ((4, 4), (4, 6), (8, 2))
    ]
    return EncodedComparisons.from_tensors(
        tables,
        same.conditioning_of(torch.arange(4)),
        pairs.image_a,
        pairs.image_b,
        pairs.prompt,
        pairs.preference,
        bucket=torch.stack([bucket[pairs.image_a], bucket[pairs.image_b]], dim=1),
        prompts=same.prompts,
        pair_id=[f"pair-{n}" for n in range(len(same))],
    )
