"""Pixels to latents and back through an `AutoencoderKL`, in the scaled space that the generator was trained in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import AutoencoderKL
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


def encode_pixels(
    vae: AutoencoderKL, pixels: Float[Tensor, "batch 3 height width"], shift: float | None = None
) -> Float[Tensor, "batch channels h w"]:
    """`(mode of the posterior - shift) * scale` in float32, for pixels in [-1, 1].

    `shift` replaces that of the VAE's configuration, for pipelines that do not read it.
    """
    with lent(vae, pixels):
        mode = vae.encode(pixels.to(vae.dtype)).latent_dist.mode()
    own_shift, scale = shift_and_scale(vae.config)
    shift = own_shift if shift is None else shift
    return (mode.float() - shift) * scale


def decode_pixels(
    vae: AutoencoderKL, latents: Float[Tensor, "batch channels h w"], shift: float | None = None
) -> Float[Tensor, "batch 3 height width"]:
    """The inverse: float32 pixels, nominally in [-1, 1]."""
    own_shift, scale = shift_and_scale(vae.config)
    shift = own_shift if shift is None else shift
    unscaled = latents.float() / scale + shift
    with lent(vae, latents):
        return vae.decode(unscaled.to(vae.dtype)).sample.float()


@contextmanager
def lent(module: nn.Module, inputs: Tensor) -> Iterator[None]:
    """Inside, gradients flow through `module` to `inputs` if they ask for it, never into its parameters."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad = False
        with torch.set_grad_enabled(torch.is_grad_enabled() and inputs.requires_grad):
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad = True


def packed(latents: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch tokens packed"]:
    """Squares of 2 x 2 latents as tokens of 4 times the channels, row by row."""
    return rearrange(latents, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2)


def unpacked(
    tokens: Float[Tensor, "batch tokens packed"], height: int, width: int
) -> Float[Tensor, "batch channels height width"]:
    """The inverse, for latents of that size."""
    return rearrange(tokens, "b (h w) (c p q) -> b c (h p) (w q)", h=height // 2, w=width // 2, p=2, q=2)


def shift_and_scale(vae_config: Mapping[str, Any]) -> tuple[float, float]:
    """Of an `AutoencoderKL`'s configuration: latents are (its own - shift) * scale."""
    return float(vae_config.get("shift_factor") or 0.0), float(vae_config["scaling_factor"])
