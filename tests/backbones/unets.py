"""One row for each kind of U-Net: what `test_unets.py` needs to know of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from dina_lrm.backbones.base import Backbone, BackboneConfig, Conditioning, Features
from dina_lrm.backbones.registry import load_backbone
from tests.tiny_unets import UNET_CHANNELS, tiny_sd_pipeline, tiny_sdxl_pipeline


@dataclass(frozen=True)
class UnetCase:
    """`config.pretrained` is a placeholder for the folder."""

    name: str
    config: BackboneConfig
    pipeline: Callable[[], Any]
    prediction: str
    adapted: int
    """Modules that the family's own LoRA targets name within the depth."""

    def shared(self, pipeline: Any) -> Backbone:
        return load_backbone(self.config, pipeline=pipeline)

    def standalone(self, folder: Path, dtype: torch.dtype = torch.float32, **changes: Any) -> Backbone:
        return load_backbone(replace(self.config, pretrained=str(folder), **changes), dtype=dtype)


def config_of(depth: int, text_taps: tuple[int, ...]) -> BackboneConfig:
    return BackboneConfig("stable-diffusion", "tiny", depth, tuple(range(depth + 1)), text_taps, prompt_length=0)


# An attention block of a U-Net has two attentions (itself, text) of four projections for each of its layers
UNET_CASES = (
    UnetCase("sd15", config_of(3, (0,)), tiny_sd_pipeline, "epsilon", adapted=2 * 8 + 8),
    UnetCase("sd21-v", config_of(2, ()), lambda: tiny_sd_pipeline(v_prediction=True), "v_prediction", adapted=2 * 8),
    UnetCase("sdxl", config_of(3, (0,)), tiny_sdxl_pipeline, "epsilon", adapted=2 * 2 * 8 + 2 * 8),
)


def unet_latents(height: int = 8, width: int = 8, batch: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(batch, UNET_CHANNELS, height, width, generator=torch.Generator().manual_seed(seed))


def call_unet(pipeline: Any, latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> dict[str, Any]:
    """Arguments with which the pipelines call their U-Net."""
    arguments = {"sample": latents, "timestep": timestep, "encoder_hidden_states": conditioning.prompt_embeds}
    if pipeline.unet.config.addition_embed_type == "text_time":
        height, width = (4 * side for side in latents.shape[-2:])
        sizes = torch.tensor([[height, width, 0, 0, height, width]] * len(latents), dtype=latents.dtype)
        added = {"text_embeds": conditioning.pooled_prompt_embeds, "time_ids": sizes}
        return arguments | {"added_cond_kwargs": added}
    return arguments


def hooked_unet(pipeline: Any, arguments: dict[str, Any], config: BackboneConfig) -> Features:
    """The same features by plain forward hooks on an untouched U-Net that runs to its end."""
    unet, maps, embedding = pipeline.unet, {}, []
    ends = [(block.attentions if vars(block).get("has_cross_attention") else block.resnets)[-1]
            for block in unet.down_blocks]  # fmt: skip

    def keep(number):
        return lambda module, args, output: maps.__setitem__(number, output if torch.is_tensor(output) else output[0])

    def before(module, args, kwargs):
        embedding.append(kwargs["temb"])

    handles = [unet.conv_in.register_forward_hook(keep(0)), unet.mid_block.register_forward_hook(keep(len(ends) + 1))]
    handles += [end.register_forward_hook(keep(i + 1)) for i, end in enumerate(ends)]
    handles.append(unet.down_blocks[0].register_forward_pre_hook(before, with_kwargs=True))
    try:
        unet(**arguments)
    finally:
        for handle in handles:
            handle.remove()
    visual = tuple(rearrange(maps[tap], "b c h w -> b (h w) c") for tap in config.visual_taps)
    return Features(visual, (arguments["encoder_hidden_states"],) * len(config.text_taps), embedding[0])
