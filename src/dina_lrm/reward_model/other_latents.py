"""Latents of another generator: how a reward model scores them, and what that costs.

Latent spaces of different families have nothing in common, not even where their shapes agree (SD1.5 and SDXL both have
four channels). The way between them is through pixels: decode with the one VAE, encode with the other.

    model.score_latents(reencoded(latents, other, model.backbone), conditioning)

That costs one pass of a decoder and one of an encoder for each image, each several times a reward model's own pass, and
gives up what latent rewards are for: with gradients, the activations of both VAEs are kept too. Detail that either VAE
drops is not judged. Only clean latents can go this way: a noisy state of one process is no state of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


def reencoded(
    latents: Float[Tensor, "batch channels h w"], source: Backbone, target: Backbone
) -> Float[Tensor, "batch channels_out h_out w_out"]:
    """Clean latents of `source`'s space in `target`'s, through pixels clipped to [-1, 1]; differentiable.

    Pictures whose sides `target` does not take are scaled to the nearest size that it does.
    Raises ValueError for latents that are not of `source`.
    """
    if latents.ndim != 4 or latents.shape[1] != source.latent_channels:
        raise DinaError(
            f"reencoded: latents have shape {tuple(latents.shape)}; accepted: (batch, {source.latent_channels}, h, w), "
            f"as {source.config.pretrained} has them"
        )
    pixels = source.decode_latents(latents).clamp(-1, 1)
    multiple = target.pixels_per_latent * target.latent_multiple
    height, width = (max(1, round(side / multiple)) * multiple for side in pixels.shape[-2:])
    if (height, width) != tuple(pixels.shape[-2:]):
        pixels = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    return target.encode_images(pixels)
