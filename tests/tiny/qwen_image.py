"""The smallest real `QwenImagePipeline`: three double blocks, a video autoencoder, a Qwen2.5-VL."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from tests.tiny import LATENT_CHANNELS, TEXT_WIDTH, WIDTH, frozen
from tests.tiny.tokenizers import tiny_qwen_tokenizer


def tiny_qwen_transformer() -> QwenImageTransformer2DModel:
    return QwenImageTransformer2DModel(
        in_channels=4 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=3,
        attention_head_dim=WIDTH // 2,
        num_attention_heads=2,
        joint_attention_dim=2 * TEXT_WIDTH,
        axes_dims_rope=(4, 6, 6),
    )


def tiny_video_vae() -> AutoencoderKLQwenImage:
    """Four times smaller in each direction; another mean and standard deviation for each channel."""
    return AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=LATENT_CHANNELS,
        dim_mult=[1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[0.1 * i - 0.7 for i in range(LATENT_CHANNELS)],
        latents_std=[1.0 + 0.1 * i for i in range(LATENT_CHANNELS)],
    )


def tiny_qwen_pipeline(seed: int = 0) -> QwenImagePipeline:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = tiny_qwen_tokenizer()
        text = {
            "vocab_size": len(tokenizer),
            "hidden_size": 2 * TEXT_WIDTH,
            "intermediate_size": TEXT_WIDTH,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0},
        }
        vision = {
            "depth": 1,
            "hidden_size": 8,
            "intermediate_size": 8,
            "num_heads": 1,
            "out_hidden_size": 2 * TEXT_WIDTH,
        }
        config = Qwen2_5_VLConfig(text_config=text, vision_config=vision)
        return frozen(
            QwenImagePipeline(
                transformer=tiny_qwen_transformer(),
                scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
                vae=tiny_video_vae(),
                text_encoder=Qwen2_5_VLForConditionalGeneration(config),
                tokenizer=tokenizer,
            )
        )


def saved_qwen_pipeline(folder: Path) -> Path:
    tiny_qwen_pipeline().save_pretrained(folder)
    return folder
