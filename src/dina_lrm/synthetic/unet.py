"""The untrained second pipeline: a variance-preserving U-Net beside the bundled autoencoder and text encoder.

Latents are those of the first world but for its shift of the mean (0.009 standard deviations): a
`StableDiffusionPipeline` scales latents and never shifts them.
"""

from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from dina_lrm.backbones.dtype_argument import for_diffusers, for_transformers
from dina_lrm.synthetic.architecture import LATENT_CHANNELS, TEXT_WIDTH, VAE_FACTOR
from dina_lrm.synthetic.vocabulary import IMAGE_SIZE

WIDTHS: Final = (48, 128)
HEAD_WIDTH: Final = 32


def build_unet() -> UNet2DConditionModel:
    """Two resolutions, 8 x 8 at width 48 without attention and 4 x 4 at width 128 with it, as SDXL arranges them."""
    return UNet2DConditionModel(
        sample_size=IMAGE_SIZE // VAE_FACTOR,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=WIDTHS,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        # The name is diffusers' own and means the number of heads
        attention_head_dim=[max(1, width // HEAD_WIDTH) for width in WIDTHS],
        norm_num_groups=8,
    )


def build_scheduler() -> DDIMScheduler:
    """The noise of Stable Diffusion 1.5: 1,000 steps, epsilon prediction, DDIM sampling."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def build_unet_pipeline(world: Path, seed: int) -> StableDiffusionPipeline:
    """A U-Net with random weights drawn from the seed, beside the autoencoder and text encoder in the folder `world`.

    The text encoder is read as `CLIPTextModel`, without the projection that it was trained with: a
    `StableDiffusionPipeline` gives the states of all tokens to the U-Net.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = build_unet()
    vae = AutoencoderKL.from_pretrained(world / "vae", **for_diffusers(torch.float32))
    vae.register_to_config(shift_factor=None)
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel.from_pretrained(
            world / "text_encoder", **for_transformers(torch.float32), attn_implementation="eager"
        ),
        tokenizer=CLIPTokenizer.from_pretrained(world / "tokenizer"),
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
