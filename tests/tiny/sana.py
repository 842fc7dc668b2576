"""The smallest real `SanaPipeline`: linear attention, cross attention, a deep autoencoder of 8 channels, Gemma."""

from pathlib import Path

import torch
from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, SanaPipeline, SanaTransformer2DModel
from transformers import Gemma2Config, Gemma2Model

from tests.tiny import TEXT_WIDTH, WIDTH, frozen
from tests.tiny.tokenizers import tiny_gemma_tokenizer

SANA_CHANNELS = 8


def tiny_sana_transformer() -> SanaTransformer2DModel:
    return SanaTransformer2DModel(
        in_channels=SANA_CHANNELS,
        out_channels=SANA_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=WIDTH // 2,
        num_layers=3,
        num_cross_attention_heads=2,
        cross_attention_head_dim=WIDTH // 2,
        cross_attention_dim=WIDTH,
        caption_channels=2 * TEXT_WIDTH,
        sample_size=8,
        timestep_scale=0.5,
    )


def tiny_deep_autoencoder() -> AutoencoderDC:
    """Four times smaller in each direction, scaled by 0.41407."""
    return AutoencoderDC(
        latent_channels=SANA_CHANNELS,
        attention_head_dim=8,
        encoder_block_out_channels=(8, 8, 16),
        decoder_block_out_channels=(8, 8, 16),
        encoder_layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1),
        encoder_qkv_multiscales=((), (), ()),
        decoder_qkv_multiscales=((), (), ()),
        scaling_factor=0.41407,
    )


def tiny_sana_pipeline(seed: int = 0) -> SanaPipeline:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = tiny_gemma_tokenizer()
        text = Gemma2Config(
            vocab_size=len(tokenizer),
            hidden_size=2 * TEXT_WIDTH,
            intermediate_size=TEXT_WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=TEXT_WIDTH,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        return frozen(
            SanaPipeline(
                transformer=tiny_sana_transformer(),
                scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
                vae=tiny_deep_autoencoder(),
                text_encoder=Gemma2Model(text),
                tokenizer=tokenizer,
            )
        )


def saved_sana_pipeline(folder: Path) -> Path:
    tiny_sana_pipeline().save_pretrained(folder)
    return folder
