"""Reward models on the tiny pipeline, with every weight random: the zeros of a fresh model would hide mistakes."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.model import LatentRewardModel

SHAPE = (16, 8, 8)
"""Of a latent of a 32 x 32 image."""


def tiny_config(generator: str | Path, **changes) -> RewardModelConfig:
    """Three of four blocks, taps of both streams, LoRA of rank 2."""
    backbone = BackboneConfig("sd3", str(generator), depth=3, visual_taps=(1, 3), text_taps=(2, 3), prompt_length=0)
    config = RewardModelConfig(
        backbone, QFormerConfig(attention_heads=4), LoraSettings(rank=2, alpha=4.0), resolution=32, noise_level=0.4
    )
    return replace(config, **changes)


def randomised(model: LatentRewardModel, seed: int = 0) -> LatentRewardModel:
    """Draw all weights of the head and the LoRA, so that taps, levels, prompts and adapter all matter."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator) * 0.2

    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.copy_(draw(parameter))
    if model.config.lora is not None:
        model.backbone.load_lora_state_dict({name: draw(t) for name, t in model.backbone.lora_state_dict().items()})
    return model


def tiny_reward_model(generator: str | Path, pipeline=None, **changes) -> LatentRewardModel:
    """A standalone model (or one that shares `pipeline`) in eval mode, its weights random."""
    return randomised(LatentRewardModel.build(tiny_config(generator, **changes), pipeline=pipeline)).eval()


def some_latents(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def some_images(count: int, seed: int = 0, side: int = 32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def some_conditioning(count: int, seed: int = 0) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    return Conditioning(torch.randn(count, 8, 24, generator=generator), torch.randn(count, 24, generator=generator))
