"""The encoders and decoders around a generator, at full size and without weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from diffusers import AutoencoderKL
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, Qwen3Config, Qwen3Model, T5Config, T5EncoderModel

from dina_lrm.profiling.counting import Cost, count, empty, without_storage

CLIP_L: Final[Mapping[str, Any]] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "projection_dim": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "eos_token_id": 2,  # as published: the end is where the largest number stands
}
"""The published configuration of the smaller CLIP text encoder of SD3.5, and that of FLUX."""
CLIP_G: Final[Mapping[str, Any]] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "eos_token_id": 2,
}
"""That of the larger one of SD3.5."""
T5_XXL: Final[Mapping[str, Any]] = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
"""That of the T5 encoder of both."""
AUTOENCODER: Final[Mapping[str, Any]] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 16,
    "sample_size": 1024,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
"""That of the 16-channel autoencoder that SD3, FLUX and Z-Image share; scale and shift are each one's own."""


@dataclass(frozen=True)
class TextEncoder:
    """A text encoder, its tokens and width, and the blocks that read embedded tokens."""

    build: Callable[[], nn.Module]
    tokens: int
    width: int
    call: Callable[[Any, Tensor], Tensor]


@cache
def vae_cost(batch: int, pixels: int, decode: bool, backward: bool) -> Cost:
    """`AUTOENCODER`: encoding images, or decoding latents."""
    model = without_storage(lambda: AutoencoderKL(**AUTOENCODER))
    if decode:
        latents = empty(batch, 16, pixels // 8, pixels // 8).requires_grad_(backward)
        return count(lambda: model.decode(latents).sample, backward, (model.decoder,))
    images = empty(batch, 3, pixels, pixels).requires_grad_(backward)
    return count(lambda: model.encode(images).latent_dist.mean, backward, (model.encoder,))


@cache
def text_cost(encoder: str, batch: int) -> Cost:
    """One text encoder of `TEXT_ENCODERS` on a batch of prompts."""
    chosen = TEXT_ENCODERS[encoder]
    model = without_storage(chosen.build)
    states = empty(batch, chosen.tokens, chosen.width)
    return count(lambda: chosen.call(model, states), False, (model,))


def _clip(shape: Mapping[str, Any]) -> Callable[[], nn.Module]:
    return lambda: CLIPTextModelWithProjection(CLIPTextConfig(**shape))


def _call_clip(model: Any, states: Tensor) -> Tensor:  # noqa: ANN401 - a model of transformers
    return model.text_model.encoder(inputs_embeds=states).last_hidden_state


def _t5() -> nn.Module:
    return T5EncoderModel(T5Config(**T5_XXL))


def _qwen3() -> nn.Module:
    return Qwen3Model(
        Qwen3Config(
            vocab_size=151936,
            hidden_size=2560,
            intermediate_size=9728,
            num_hidden_layers=36,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=128,
        )
    )


def _call_qwen3(model: Any, states: Tensor) -> Tensor:  # noqa: ANN401 - a model of transformers
    # Given as it is used: what transformers does to make one needs values
    mask = empty(len(states), 1, states.shape[1], states.shape[1])
    return model(inputs_embeds=states, attention_mask=mask, use_cache=False).last_hidden_state


TEXT_ENCODERS: Final[dict[str, TextEncoder]] = {
    "clip-l": TextEncoder(_clip(CLIP_L), tokens=77, width=768, call=_call_clip),
    "clip-g": TextEncoder(_clip(CLIP_G), tokens=77, width=1280, call=_call_clip),
    "t5-xxl": TextEncoder(
        _t5, tokens=128, width=4096, call=lambda model, states: model.encoder(inputs_embeds=states).last_hidden_state
    ),
    "qwen3-4b": TextEncoder(_qwen3, tokens=128, width=2560, call=_call_qwen3),
}
"""Text encoders by name: those of SD3.5 and FLUX, and Z-Image's language model."""
