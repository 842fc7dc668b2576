"""The smallest real Stable Diffusion pipelines: SD1.5-like, SD2.1-like (v prediction) and SDXL-like (two encoders).

Images of 32 x 32 pixels become latents of (4, 8, 8); the U-Net has two resolutions of widths 8 and 16.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from tests.tiny import CLIP_TOKENS, TEXT_WIDTH, tiny_clip_tokenizer

UNET_WIDTHS = (8, 16)
UNET_CHANNELS = 4
POOLED = 20
"""Width of the projected vector of SDXL's second encoder."""
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def tiny_unet(sdxl: bool = False, linear: bool = False, layers: int = 2) -> UNet2DConditionModel:
    """`sdxl`: no attention at the first resolution, and the added conditions."""
    first, second = ("DownBlock2D", "CrossAttnDownBlock2D") if sdxl else ("CrossAttnDownBlock2D", "DownBlock2D")
    added: dict[str, Any] = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 2,
        "projection_class_embeddings_input_dim": POOLED + 6 * 2,
        "transformer_layers_per_block": (1, 2),
    }
    ups = [name.replace("Down", "Up") for name in (second, first)]
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=UNET_CHANNELS,
        out_channels=UNET_CHANNELS,
        down_block_types=(first, second),
        up_block_types=tuple(ups),
        block_out_channels=UNET_WIDTHS,
        layers_per_block=layers,
        cross_attention_dim=2 * TEXT_WIDTH if sdxl else TEXT_WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
        use_linear_projection=linear or sdxl,
        **(added if sdxl else {}),
    )


def tiny_unet_vae() -> AutoencoderKL:
    """Four times smaller in each direction, four channels; its scale is SD1.5's."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        latent_channels=UNET_CHANNELS,
        norm_num_groups=4,
        sample_size=32,
        scaling_factor=0.18215,
    )


def _text_config(tokenizer: CLIPTokenizer, projection: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=TEXT_WIDTH,
        projection_dim=projection,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CLIP_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def tiny_sd_pipeline(v_prediction: bool = False, seed: int = 0, layers: int = 2) -> StableDiffusionPipeline:
    """SD1.5 (PNDM, epsilon), or SD2.1 (DDIM, v prediction, linear projections)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = tiny_clip_tokenizer()
        scheduler = (
            DDIMScheduler(**NOISE, prediction_type="v_prediction", clip_sample=False, steps_offset=1)
            if v_prediction
            else PNDMScheduler(**NOISE, skip_prk_steps=True, steps_offset=1)
        )
        pipeline = StableDiffusionPipeline(
            vae=tiny_unet_vae(),
            text_encoder=CLIPTextModel(_text_config(tokenizer, TEXT_WIDTH)),
            tokenizer=tokenizer,
            unet=tiny_unet(linear=v_prediction, layers=layers),
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    return _ready(pipeline)


def tiny_sdxl_pipeline(seed: int = 0) -> StableDiffusionXLPipeline:
    """SDXL: two encoders, pooled prompt and image size as added conditions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = tiny_clip_tokenizer()
        pipeline = StableDiffusionXLPipeline(
            vae=tiny_unet_vae(),
            text_encoder=CLIPTextModel(_text_config(tokenizer, TEXT_WIDTH)),
            text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, POOLED)),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=tiny_unet(sdxl=True),
            scheduler=EulerDiscreteScheduler(**NOISE, steps_offset=1),
            add_watermarker=False,
        )
    return _ready(pipeline)


def _ready(pipeline: Any) -> Any:
    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            component.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def saved(pipeline: Any, folder: Path) -> Path:
    """Write the pipeline to `folder` and return it."""
    pipeline.save_pretrained(folder)
    return folder
