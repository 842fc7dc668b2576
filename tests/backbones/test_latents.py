"""Pixels to latents: the order in memory changes the time that half precision takes and nothing that is said."""

import pytest
import torch
from diffusers import AutoencoderKL

from dina_lrm.backbones.latents import KLAutoencoder, laid_out


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(block_out_channels=(32, 64), latent_channels=4, **blocks).eval()


def test_float32_keeps_its_order_and_half_precision_has_channels_last() -> None:
    pixels = torch.randn(2, 3, 8, 8)
    assert laid_out(pixels) is pixels
    low = laid_out(pixels.bfloat16())
    assert low.is_contiguous(memory_format=torch.channels_last) and torch.equal(low, pixels.bfloat16())


@torch.no_grad()
def test_half_precision_is_as_far_from_float32_in_either_order(vae: AutoencoderKL) -> None:
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    kind = KLAutoencoder()
    whole, low = kind.encode(vae, pixels), vae.to(torch.bfloat16)
    ours = (kind.encode(low, pixels) - whole).std()
    mode = low.encode(pixels.bfloat16()).latent_dist.mode()
    rows = (mode.float() - (low.config.shift_factor or 0.0)) * low.config.scaling_factor
    assert ours < 1.5 * (rows - whole).std() < 0.1 * whole.std()
    vae.float()
