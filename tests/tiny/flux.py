"""The smallest real `FluxPipeline`: two double and two single blocks, with a guidance embedding (dev) or without."""

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel

from tests.tiny import (
    CLIP_TOKENS,
    LATENT_CHANNELS,
    TEXT_WIDTH,
    WIDTH,
    frozen,
    tiny_clip_tokenizer,
    tiny_t5_encoder,
    tiny_t5_tokenizer,
    tiny_vae,
)


def tiny_flux_transformer(guidance: bool) -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        in_channels=4 * LATENT_CHANNELS,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=WIDTH // 2,
        num_attention_heads=2,
        joint_attention_dim=2 * TEXT_WIDTH,
        pooled_projection_dim=TEXT_WIDTH,
        guidance_embeds=guidance,
        axes_dims_rope=(4, 6, 6),
    )


def tiny_flux_pipeline(guidance: bool = True, seed: int = 0) -> FluxPipeline:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip, t5 = tiny_clip_tokenizer(), tiny_t5_tokenizer()
        text = CLIPTextConfig(
            vocab_size=len(clip),
            hidden_size=TEXT_WIDTH,
            intermediate_size=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=CLIP_TOKENS,
            bos_token_id=clip.bos_token_id,
            eos_token_id=clip.eos_token_id,
            pad_token_id=clip.pad_token_id,
        )
        return frozen(
            FluxPipeline(
                transformer=tiny_flux_transformer(guidance),
                scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
                vae=tiny_vae(),
                text_encoder=CLIPTextModel(text),
                tokenizer=clip,
                text_encoder_2=tiny_t5_encoder(t5),
                tokenizer_2=t5,
            )
        )


def saved_flux_pipeline(folder: Path, guidance: bool = True) -> Path:
    tiny_flux_pipeline(guidance).save_pretrained(folder)
    return folder
