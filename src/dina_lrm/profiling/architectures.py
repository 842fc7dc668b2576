"""Transformers of the paper's generators at full size, built without weights, and a call of each.

Shapes are those of the published configurations. A builder takes the number of blocks; a call takes (transformer,
batch, latent side, text tokens) and gives the latents and a function that returns the output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, ZImageTransformer2DModel
from torch import Tensor, nn

from dina_lrm.profiling.counting import empty, without_storage

Call = tuple[Tensor, Callable[[], Tensor]]
"""The latents, and the call."""

SD35_MEDIUM: Final[dict[str, Any]] = {
    "sample_size": 128,
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "pos_embed_max_size": 384,
    "dual_attention_layers": tuple(range(13)),
    "qk_norm": "rms_norm",
}
"""The published configuration of its transformer."""


def sd35(blocks: int) -> nn.Module:
    """Stable Diffusion 3.5 Medium."""

    def build() -> nn.Module:
        # The last block of the whole lacks the text stream's output: one more is built than is kept
        model = SD3Transformer2DModel(**SD35_MEDIUM | {"num_layers": min(blocks + 1, SD35_MEDIUM["num_layers"])})
        model.transformer_blocks = nn.ModuleList(list(model.transformer_blocks)[:blocks])
        return model

    return without_storage(build)


def call_sd35(model: nn.Module, batch: int, side: int, tokens: int) -> Call:
    """One prediction of SD3.5."""
    latents = empty(batch, 16, side, side).requires_grad_()
    given = {"encoder_hidden_states": empty(batch, tokens, 4096), "pooled_projections": empty(batch, 2048)}
    return latents, lambda: model(hidden_states=latents, timestep=empty(batch), **given).sample


def flux(blocks: int) -> nn.Module:
    """FLUX.1-dev: 19 double blocks, then 38 single ones."""
    double, single = min(blocks, 19), max(0, blocks - 19)
    return without_storage(
        lambda: FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=double,
            num_single_layers=single,
            attention_head_dim=128,
            num_attention_heads=24,
            joint_attention_dim=4096,
            pooled_projection_dim=768,
            guidance_embeds=True,
        )
    )


def call_flux(model: nn.Module, batch: int, side: int, tokens: int) -> Call:
    """One prediction of FLUX, on packed latents."""
    packed = (side // 2) ** 2
    latents = empty(batch, packed, 64).requires_grad_()
    given: dict[str, Any] = {
        "encoder_hidden_states": empty(batch, tokens, 4096),
        "pooled_projections": empty(batch, 768),
        "guidance": empty(batch),
        "img_ids": empty(packed, 3),
        "txt_ids": empty(tokens, 3),
    }
    return latents, lambda: model(hidden_states=latents, timestep=empty(batch), **given).sample


def z_image(blocks: int) -> nn.Module:
    """Z-Image-Turbo: two refiners of each stream, then 30 layers over both together."""
    return without_storage(
        lambda: ZImageTransformer2DModel(
            in_channels=16,
            dim=3840,
            n_layers=blocks,
            n_refiner_layers=2,
            n_heads=30,
            n_kv_heads=30,
            cap_feat_dim=2560,
            axes_dims=[32, 48, 48],
            axes_lens=[1536, 512, 512],
        )
    )


def call_z_image(model: nn.Module, batch: int, side: int, tokens: int) -> Call:
    """One prediction of Z-Image, which takes latents and captions one by one."""
    latents = empty(batch, 16, 1, side, side).requires_grad_()
    captions = [empty(tokens, 2560) for _ in range(batch)]
    return latents, lambda: torch.stack(model(x=list(latents.unbind()), t=empty(batch), cap_feats=captions).sample)
