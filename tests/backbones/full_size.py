"""Published generators at full size on the meta device: shapes and numbers without weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.parts import Parts
from dina_lrm.backbones.registry import FAMILIES
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.stable_diffusion import StableDiffusionBackbone
from dina_lrm.diffusion.process import RectifiedFlow

META = torch.device("meta")
TOKENS = 128


@dataclass(frozen=True)
class FullSize:
    """A published configuration (what differs from diffusers' defaults), and how its reward model reads it."""

    family: str
    depth: int
    visual_taps: tuple[int, ...]
    text_taps: tuple[int, ...]
    transformer: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_width: int
    pooled_width: int | None = None
    text_tokens: int = TOKENS
    side: int = 128
    """Of the latents of 1024 x 1024 pixels."""


KL = {"block_out_channels": (128, 256, 512, 512), "scaling_factor": 1.0, "shift_factor": 0.0}
FULL_SIZE = {
    "SD3.5-Medium": FullSize(
        family="sd3",
        depth=12,
        visual_taps=(4, 8, 12),
        text_taps=(4, 8, 12),
        transformer={
            "num_layers": 24,
            "num_attention_heads": 24,
            "attention_head_dim": 64,
            "caption_projection_dim": 1536,
            "dual_attention_layers": tuple(range(13)),
            "qk_norm": "rms_norm",
            "pos_embed_max_size": 384,
        },
        vae=KL,
        text_width=4096,
        pooled_width=2048,
        text_tokens=77 + TOKENS,
    ),
    "FLUX.1-dev": FullSize(
        family="flux",
        depth=19,
        visual_taps=(8, 12, 16, 19),
        text_taps=(8, 12, 16, 19),
        transformer={"guidance_embeds": True},
        vae=KL,
        text_width=4096,
        pooled_width=768,
    ),
    "Z-Image-Turbo": FullSize(
        family="z-image",
        depth=16,
        visual_taps=(4, 8, 12, 16),
        text_taps=(4, 8, 12, 16),
        transformer={"axes_lens": (1536, 512, 512)},
        vae=KL,
        text_width=2560,
    ),
    "SANA-1.6B": FullSize(
        family="sana",
        depth=10,
        visual_taps=(3, 6, 10),
        text_taps=(0,),
        transformer={},
        vae={"encoder_block_out_channels": (128, 256, 512, 512, 1024, 1024), "scaling_factor": 0.41407},
        text_width=2304,
        side=32,
    ),
    "Qwen-Image": FullSize(
        family="qwen-image",
        depth=20,
        visual_taps=(5, 10, 15, 20),
        text_taps=(5, 10, 15, 20),
        transformer={},
        vae={"temperal_downsample": (False, True, True), "latents_mean": (0.0,) * 16, "latents_std": (1.0,) * 16},
        text_width=3584,
    ),
}


class WithoutEncoders(Parts):
    """Only what the configurations say."""

    def __init__(self, vae_config: Mapping[str, Any]) -> None:
        self.vae_config = vae_config

    @property
    def device(self) -> torch.device:
        return META

    def vae(self, device: torch.device, dtype: torch.dtype) -> Any:
        raise AssertionError("there is no autoencoder here")

    prompt_pipeline = vae

    def encoded(self, encode: Any, batches: Any, device: torch.device, dtype: torch.dtype) -> Any:
        raise AssertionError("there are no text encoders here")

    def stay(self, device: torch.device, dtype: torch.dtype) -> bool:
        return True

    def load(self, device: torch.device, dtype: torch.dtype) -> None:
        raise AssertionError("there is nothing to load")

    def hold(self, settings: Any) -> None:
        raise AssertionError("there is nothing to hold")

    def short_tokens(self) -> int:
        return 77

    def loaded(self) -> dict[str, nn.Module]:
        return {}


def parameters(module: nn.Module) -> float:
    """Billions of them."""
    return sum(parameter.numel() for parameter in module.parameters()) / 1e9


@dataclass(frozen=True)
class Read:
    """A backbone's features at 1024 x 1024 pixels, and what they took."""

    backbone: Any
    features: Features
    whole: float
    """Billions of parameters of the transformer."""
    used: float
    """Of the part that is loaded."""
    teraflops: float


def read(name: str) -> Read:
    """One forward pass of one image, up to the depth."""
    size = FULL_SIZE[name]
    config = BackboneConfig(size.family, name, size.depth, size.visual_taps, size.text_taps, TOKENS)
    family = FAMILIES[size.family].load_class()
    transformer_class, parts, behind = family.transformer_class, WithoutEncoders(size.vae), family.behind
    with META:
        transformer = transformer_class(**size.transformer)
    nn.Module.to(transformer, torch.bfloat16)
    whole = parameters(transformer)
    keep = set(family.block_names(transformer)[: size.depth])
    for list_name in (family.blocks, *family.more_blocks):
        blocks = transformer.get_submodule(list_name)
        setattr(transformer, list_name, nn.ModuleList(b for i, b in enumerate(blocks) if f"{list_name}.{i}" in keep))
    for behind_name in behind:
        parent, _, own = behind_name.rpartition(".")
        transformer.get_submodule(parent)._modules[own] = nn.Identity()
    backbone = family(config, RectifiedFlow(1000), transformer, parts, shared=False)
    embeds = torch.empty(1, size.text_tokens, size.text_width)
    return _measured(backbone, size.side, embeds, size.pooled_width, whole)


@dataclass(frozen=True)
class FullSizeUnet:
    """A published U-Net, read at the end of every resolution and at the mid block, at its own resolution."""

    depth: int
    side: int
    unet: Mapping[str, Any]
    text_width: int
    pooled_width: int


FULL_SIZE_UNETS = {
    "Stable Diffusion 1.5": FullSizeUnet(
        depth=5,
        side=64,
        unet={"sample_size": 64, "cross_attention_dim": 768},
        text_width=768,
        pooled_width=768,
    ),
    "Stable Diffusion XL": FullSizeUnet(
        depth=4,
        side=128,
        unet={
            "sample_size": 128,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "block_out_channels": (320, 640, 1280),
            "attention_head_dim": (5, 10, 20),
            "transformer_layers_per_block": (1, 2, 10),
            "cross_attention_dim": 2048,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        text_width=2048,
        pooled_width=1280,
    ),
}


def read_unet(name: str) -> Read:
    """One forward pass of one image through the down and mid blocks."""
    size = FULL_SIZE_UNETS[name]
    with META:
        unet = UNet2DConditionModel(**size.unet)
    nn.Module.to(unet, torch.bfloat16)
    whole = parameters(unet)
    for behind in ("up_blocks", "conv_norm_out", "conv_out"):
        setattr(unet, behind, nn.Identity())
    taps = tuple(range(1, size.depth + 1))
    config = BackboneConfig("stable-diffusion", name, size.depth, taps, (0,))
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    parts = WithoutEncoders(KL)
    backbone = StableDiffusionBackbone(config, scheduler, unet, parts, size.pooled_width, shared=False)
    return _measured(backbone, size.side, torch.empty(1, 77, size.text_width), size.pooled_width, whole)


def _measured(backbone: Any, side: int, embeds: torch.Tensor, pooled_width: int | None, whole: float) -> Read:
    pooled = None if pooled_width is None else torch.empty(1, pooled_width, device=META)
    conditioning = Conditioning(embeds.to(META), pooled)
    latents = torch.empty(1, backbone.latent_channels, side, side, device=META)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        features = backbone.features(latents, torch.empty(1, device=META), conditioning)
    return Read(backbone, features, whole, parameters(backbone.transformer), counter.get_total_flops() / 1e12)
