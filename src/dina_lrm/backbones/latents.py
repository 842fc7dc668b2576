"""Pixels to latents and back, in the scaled space that the generator was trained in; latents as tokens."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from diffusers import AutoencoderKL
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.backbones.at_once import pictures_at_once

Scale = float | tuple[float, ...]
"""One number, or one for each channel."""
TILED_ABOVE: Final = 2**21
"""Pixels of a picture from which on it is encoded in tiles of the size that the autoencoder was trained on, which
overlap by a quarter: twice what the families here are made for. Tiles are not what the whole picture gives."""


@dataclass(frozen=True)
class LatentSpace:
    """How a generator's latents relate to its autoencoder's own: latents = (own - shift) * scale."""

    pixels_per_latent: int
    """Side of the square of pixels that one latent position stands for."""
    shift: Scale
    scale: Scale


class Autoencoder(ABC):
    """How a family's pipelines take pixels to scaled latents and back, with the autoencoder at hand."""

    model_class: ClassVar[type[ModelMixin]]
    """Its class in diffusers."""

    @abstractmethod
    def space(self, config: Mapping[str, Any]) -> LatentSpace:
        """What an autoencoder of this configuration says of its latents."""

    @abstractmethod
    def encode(
        self, vae: ModelMixin, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels h w"]:
        """Scaled latents (float32) of pixels in [-1, 1]: the mode, where latents are a distribution."""

    @abstractmethod
    def decode(
        self, vae: ModelMixin, latents: Float[Tensor, "batch channels h w"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """The inverse: float32 pixels, nominally in [-1, 1]; differentiable."""


@final
@dataclass(frozen=True)
class KLAutoencoder(Autoencoder):
    """The usual one of diffusers, `AutoencoderKL`.

    Without `shifted`, pipelines scale latents only, whatever shift the configuration holds.
    """

    model_class: ClassVar[type[ModelMixin]] = AutoencoderKL
    shifted: bool = True

    def space(self, config: Mapping[str, Any]) -> LatentSpace:
        """It halves the side between two of its resolutions."""
        return LatentSpace(2 ** (len(config["block_out_channels"]) - 1), *self._shift_and_scale(config))

    def encode(
        self, vae: ModelMixin, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels h w"]:
        """`(mode of the posterior - shift) * scale`."""
        with lent(vae, pixels), tiled(vae, pixels.shape[-2] * pixels.shape[-1] > TILED_ABOVE):
            mode = vae.encode(laid_out(pixels.to(vae.dtype))).latent_dist.mode()
        shift, scale = self._shift_and_scale(vae.config)
        return (mode.float() - shift) * scale

    def decode(
        self, vae: ModelMixin, latents: Float[Tensor, "batch channels h w"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """The decoder's output, for `latents / scale + shift`."""
        shift, scale = self._shift_and_scale(vae.config)
        unscaled = latents.float() / scale + shift
        with lent(vae, latents):
            return vae.decode(laid_out(unscaled.to(vae.dtype))).sample.float()

    def _shift_and_scale(self, config: Mapping[str, Any]) -> tuple[float, float]:
        return float(config.get("shift_factor") or 0.0) if self.shifted else 0.0, float(config["scaling_factor"])


def encoded_in_parts(
    autoencoder: Autoencoder, vae: ModelMixin, pixels: Float[Tensor, "batch 3 height width"], device: torch.device
) -> Float[Tensor, "batch channels h w"]:
    """Scaled latents on `device`, of as many pictures at once as its memory is used for."""
    count = pictures_at_once(pixels.shape[-2] * pixels.shape[-1], device)
    found = [autoencoder.encode(vae, part.to(device)) for part in pixels.split(count)]
    return found[0] if len(found) == 1 else torch.cat(found)


def laid_out(
    pixels: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels height width"]:
    """The same values, in the order in memory that convolutions in half precision are quicker with on a processor.

    Channels last: measured 1.17 times as fast in bfloat16 (docs/cost.md), and as far from float32 as the other order.
    Float32 stays as it is: there it gains a tenth, and latents of existing caches would no longer be equal to the bit.
    """
    quicker = pixels.device.type == "cpu" and pixels.dtype in (torch.bfloat16, torch.float16)
    return pixels.contiguous(memory_format=torch.channels_last) if quicker else pixels


@contextmanager
def tiled(vae: ModelMixin, wanted: bool) -> Iterator[None]:
    """Inside, `vae` encodes large pictures in tiles (diffusers' own) where that is wanted; afterwards as before."""
    before = vae.use_tiling
    vae.use_tiling = before or wanted
    try:
        yield
    finally:
        vae.use_tiling = before


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
