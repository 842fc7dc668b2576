"""Generators of the paper at full size, built without weights: their transformers to a depth, encoders and decoders.

Shapes are those of the published configurations. A new generator is a row of `GENERATORS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from dina_lrm.heads.base import HeadTokens
from dina_lrm.heads.qformer import QFormerConfig, QFormerHead
from dina_lrm.profiling.counting import DTYPE, META, Cost, count, without_storage


@dataclass(frozen=True)
class Generator:
    """A generator: its transformer of so many blocks, a call of it, and the head that reads it."""

    about: str
    depth: int
    """Blocks that the paper's reward model uses."""
    blocks: int
    taps: tuple[int, ...]
    width: int
    head: QFormerConfig
    text_tokens: int
    time_width: int
    transformer: Callable[[int], nn.Module]
    call: Callable[[nn.Module, int, int, int], tuple[Tensor, Callable[[], Tensor]]]
    """(transformer, batch, latent side, text tokens) to the latents and a call that returns the output."""
    text_encoders: tuple[str, ...] = ("clip-l", "clip-g", "t5-xxl")


def _empty(*shape: int) -> Tensor:
    return torch.empty(*shape, device=META, dtype=DTYPE)


def _sd35(blocks: int) -> nn.Module:
    from diffusers import SD3Transformer2DModel

    def build() -> nn.Module:
        # The last block of the whole lacks the text stream's output: one more is built than is kept
        model = SD3Transformer2DModel(
            sample_size=128,
            patch_size=2,
            in_channels=16,
            num_layers=min(blocks + 1, 24),
            attention_head_dim=64,
            num_attention_heads=24,
            joint_attention_dim=4096,
            caption_projection_dim=1536,
            pooled_projection_dim=2048,
            out_channels=16,
            pos_embed_max_size=384,
            dual_attention_layers=tuple(range(13)),
            qk_norm="rms_norm",
        )
        model.transformer_blocks = nn.ModuleList(list(model.transformer_blocks)[:blocks])
        return model

    return without_storage(build)


def _call_sd35(model: nn.Module, batch: int, side: int, tokens: int) -> tuple[Tensor, Callable[[], Tensor]]:
    latents = _empty(batch, 16, side, side).requires_grad_()
    given = {"encoder_hidden_states": _empty(batch, tokens, 4096), "pooled_projections": _empty(batch, 2048)}
    return latents, lambda: model(hidden_states=latents, timestep=_empty(batch), **given).sample


def _flux(blocks: int) -> nn.Module:
    from diffusers import FluxTransformer2DModel

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


def _call_flux(model: nn.Module, batch: int, side: int, tokens: int) -> tuple[Tensor, Callable[[], Tensor]]:
    packed = (side // 2) ** 2
    latents = _empty(batch, packed, 64).requires_grad_()
    given: dict[str, Any] = {
        "encoder_hidden_states": _empty(batch, tokens, 4096),
        "pooled_projections": _empty(batch, 768),
        "guidance": _empty(batch),
        "img_ids": _empty(packed, 3),
        "txt_ids": _empty(tokens, 3),
    }
    return latents, lambda: model(hidden_states=latents, timestep=_empty(batch), **given).sample


GENERATORS: Final[dict[str, Generator]] = {
    "sd3.5-medium": Generator(
        "Stable Diffusion 3.5 Medium, first 12 of 24 blocks",
        depth=12,
        blocks=24,
        taps=(4, 8, 12),
        width=1536,
        head=QFormerConfig(),
        text_tokens=77 + 128,
        time_width=1536,
        transformer=_sd35,
        call=_call_sd35,
    ),
    "flux.1-dev": Generator(
        "FLUX.1-dev, the 19 double blocks of 57",
        depth=19,
        blocks=57,
        taps=(8, 12, 16, 19),
        width=3072,
        head=QFormerConfig(width=1536, use_proj_in=True),
        text_tokens=128,
        time_width=3072,
        transformer=_flux,
        call=_call_flux,
        text_encoders=("clip-l", "t5-xxl"),
    ),
}
"""Generators by name."""


def generator(name: str) -> Generator:
    """The generator of that name; raises ValueError naming those there are."""
    if name not in GENERATORS:
        raise ValueError(f"generator {name!r}; accepted: {', '.join(GENERATORS)}")
    return GENERATORS[name]


def transformer_cost(name: str, depth: int, batch: int, pixels: int, backward: bool) -> Cost:
    """The first `depth` blocks of a generator on square images; the gradient is that of the latents."""
    chosen = generator(name)
    model = chosen.transformer(depth)
    _, run = chosen.call(model, batch, pixels // 8, chosen.text_tokens)
    image = (pixels // 16) ** 2
    return count(run, backward, (model,), (image, image + chosen.text_tokens))


def head_cost(name: str, batch: int, pixels: int, levels: int, backward: bool) -> Cost:
    """The head on the features of `levels` noise levels, read together; its weights learn."""
    chosen = generator(name)
    taps = (chosen.width,) * len(chosen.taps)
    with META:
        head = QFormerHead(chosen.head, taps, taps, chosen.time_width)
    head.requires_grad_(backward)

    def run() -> Tensor:
        from dina_lrm.backbones.base import Features

        def features() -> HeadTokens:
            tokens = (pixels // 16) ** 2
            visual = tuple(torch.empty(batch, tokens, chosen.width, device=META) for _ in chosen.taps)
            text = tuple(torch.empty(batch, chosen.text_tokens, chosen.width, device=META) for _ in chosen.taps)
            states = [state.requires_grad_(backward) for state in (*visual, *text)]
            time = torch.empty(batch, chosen.time_width, device=META)
            return head.tokens(Features(tuple(states[: len(taps)]), tuple(states[len(taps) :]), time, None))

        return head.score([features() for _ in range(levels)])

    return count(run, backward, (head,))


def vae_cost(batch: int, pixels: int, decode: bool, backward: bool) -> Cost:
    """The 16-channel autoencoder that SD3 and FLUX share: encoding images, or decoding latents."""
    from diffusers import AutoencoderKL

    model = without_storage(
        lambda: AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=16,
            sample_size=1024,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )
    )
    if decode:
        latents = _empty(batch, 16, pixels // 8, pixels // 8).requires_grad_(backward)
        return count(lambda: model.decode(latents).sample, backward, (model.decoder,))
    images = _empty(batch, 3, pixels, pixels).requires_grad_(backward)
    return count(lambda: model.encode(images).latent_dist.mean, backward, (model.encoder,))


def text_cost(encoder: str, batch: int) -> Cost:
    """One text encoder on a batch of prompts: 77 tokens for CLIP, 128 for T5."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config, T5EncoderModel

    if encoder == "t5-xxl":
        t5 = T5Config(
            vocab_size=32128,
            d_model=4096,
            d_kv=64,
            d_ff=10240,
            num_layers=24,
            num_heads=64,
            feed_forward_proj="gated-gelu",
        )
        model, tokens = without_storage(lambda: T5EncoderModel(t5)), 128
    else:
        shapes: dict[str, dict[str, Any]] = {
            "clip-l": {
                "hidden_size": 768,
                "intermediate_size": 3072,
                "num_hidden_layers": 12,
                "num_attention_heads": 12,
            },
            "clip-g": {
                "hidden_size": 1280,
                "intermediate_size": 5120,
                "num_hidden_layers": 32,
                "num_attention_heads": 20,
                "hidden_act": "gelu",
            },
        }
        shape = shapes[encoder]
        clip = CLIPTextConfig(projection_dim=shape["hidden_size"], eos_token_id=2, **shape)
        model, tokens = without_storage(lambda: CLIPTextModelWithProjection(clip)), 77
    width = int(model.get_input_embeddings().weight.shape[1])
    states = torch.empty(batch, tokens, width, device=META, dtype=DTYPE)
    blocks = model.encoder if encoder == "t5-xxl" else model.text_model.encoder
    return count(lambda: blocks(inputs_embeds=states).last_hidden_state, False, (model,))
