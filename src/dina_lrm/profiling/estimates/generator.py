"""What a generator weighs, and what a picture and a prompt take in it: from headers and configurations alone.

    picture    autoencoder: 2 * 9 * c_in * c_out FLOPs a position of each convolution; WORK tensors of the widest level
    tokens     2 FLOPs a weight and token in the model and in the text encoders

Attention, whose share is small below 1024 pixels, and what is no convolution are left out: FLOPs are a lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import torch

from dina_lrm.backbones.anatomy import Anatomy, anatomy_of
from dina_lrm.backbones.at_once import pictures_at_once
from dina_lrm.backbones.families import FAMILIES
from dina_lrm.backbones.loads import Component, components, held_dtype
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.profiling.estimates.estimate import Load
from dina_lrm.runs.json_files import read_diffusers_config, read_json_object

TENSORS: Final = 5
"""Tensors of a picture's size and the first width that the autoencoder's encoder holds at its peak, as measured."""
STATES: Final = 24
"""Tensors of a token's width that a block holds at its peak without gradients."""
CLIP_TOKENS: Final = 77
"""Of a tokenizer that does not say how long its prompts are."""
TOKEN_SIDE: Final = 16
"""Pixels of a token's side where the model's configuration names no patch: eight a latent, and two latents."""


@dataclass(frozen=True)
class GeneratorSize:
    """A generator as one job reads it: its components, and the type it computes in."""

    config: BackboneConfig
    parts: tuple[Component, ...]
    dtype: torch.dtype

    @cached_property
    def anatomy(self) -> Anatomy:
        """What its configurations say."""
        return anatomy_of(self.config.pretrained, self.config.revision)

    @cached_property
    def autoencoder(self) -> dict[str, Any]:
        """The autoencoder's configuration."""
        return read_diffusers_config(self.anatomy.folder / "vae" / "config.json")

    @cached_property
    def model(self) -> dict[str, Any]:
        """The model's configuration."""
        family = FAMILIES[self.config.family].load_class()
        return read_diffusers_config(self.anatomy.folder / family.component / "config.json")

    @cached_property
    def latent_side(self) -> int:
        """Pixels of a latent's side."""
        return FAMILIES[self.config.family].load_class().autoencoder.space(self.autoencoder).pixels_per_latent

    @cached_property
    def short_tokens(self) -> int:
        """Tokens that CLIP's tokenizer pads prompts to."""
        path = self.anatomy.folder / "tokenizer" / "tokenizer_config.json"
        found = read_json_object(path).get("model_max_length") if path.is_file() else None
        return found if isinstance(found, int) else CLIP_TOKENS

    def loads(self) -> tuple[Load, ...]:
        """Every component in the type it is held in."""
        return tuple(Load(part.name, self._type_of(part), part.bytes_in(self.dtype)) for part in self.parts)

    def bytes(self, role: str) -> list[int]:
        """What each component of a role weighs."""
        return [part.bytes_in(self.dtype) for part in self.parts if part.role == role]

    def bytes_in_turn(self, role: str) -> list[int]:
        """What each component of a role takes at once where it has a turn of its own on the host."""
        return [part.bytes_in_turn(self.dtype) for part in self.parts if part.role == role]

    def parameters(self, role: str) -> int:
        """Numbers of all components of a role."""
        return sum(part.parameters for part in self.parts if part.role == role)

    def prompt_tokens(self) -> int:
        """Rows of an encoded prompt."""
        family = FAMILIES[self.config.family].load_class()
        return (self.short_tokens if family.short_states else 0) + (
            self.config.prompt_length if family.long_states else 0
        )

    def tokens(self, pixels: int) -> int:
        """Tokens of a picture of so many pixels with its prompt."""
        patch = self.model.get("patch_size")
        side = self.latent_side * patch if isinstance(patch, int) and patch > 1 else max(TOKEN_SIDE, self.latent_side)
        return pixels // side**2 + self.prompt_tokens()

    def picture_bytes(self, pixels: int, batch: int, device: str) -> int:
        """What the autoencoder computes with at its peak, for a batch; 0 for one whose widths are not told."""
        widths, count = (
            self.autoencoder.get("block_out_channels") or [0],
            pictures_at_once(pixels, torch.device(device)),
        )
        return TENSORS * int(widths[0]) * pixels * min(batch, count) * self.dtype.itemsize

    def state_bytes(self, pixels: int) -> int:
        """What the model computes with at its peak, a picture, without gradients."""
        return STATES * self.tokens(pixels) * self.anatomy.width * self.dtype.itemsize

    def picture_flops(self, pixels: int) -> float:
        """Of encoding a picture."""
        return encoder_flops(self.autoencoder, pixels)

    def token_flops(self, pixels: int) -> float:
        """Of one pass of the model over a picture and its prompt."""
        return 2.0 * self.parameters("model") * self.tokens(pixels)

    def prompt_flops(self) -> float:
        """Of encoding a prompt, tables of embeddings among the weights."""
        return 2.0 * self.parameters("text encoder") * max(self.config.prompt_length, self.short_tokens)

    def stored_bytes(self, pixels: int, pictures: int, prompts: int, dtype: torch.dtype) -> int:
        """What a cache of so many pictures and prompts takes in `dtype`, without its tables."""
        family = FAMILIES[self.config.family].load_class()
        channels = int(self.autoencoder.get("latent_channels") or 0)
        width = self.model.get(family.prompt_width)
        latents = channels * pixels // self.latent_side**2
        rows = self.prompt_tokens() * int(width) if isinstance(width, int) else 0
        return (pictures * latents + prompts * rows) * dtype.itemsize

    def _type_of(self, part: Component) -> str:
        held = held_dtype(part.dtype, self.dtype) if part.role == "text encoder" else self.dtype
        return str(held).removeprefix("torch.")


def encoder_flops(autoencoder: Mapping[str, Any], pixels: int) -> float:
    """Of the convolutions that encode a picture: two residual layers of two a level, by `block_out_channels`.

    0 for an autoencoder that is built of something else.
    """
    widths = [int(width) for width in autoencoder.get("block_out_channels") or []]
    layers, flops, before = int(autoencoder.get("layers_per_block") or 2), 0.0, (widths or [0])[0]
    for level, width in enumerate(widths):
        # One convolution into the new width, the others within it, and one that halves the side
        products = before * width + (2 * layers - 1) * width * width + (0 if level + 1 == len(widths) else width**2 / 4)
        flops += 18.0 * products * pixels / 4**level
        before = width
    return flops + 18.0 * 4 * before**2 * pixels / 4 ** (len(widths) - 1) if widths else 0.0


def generator_size(
    config: BackboneConfig, dtype: torch.dtype, *, autoencoder: bool = True, text_encoders: bool = True
) -> GeneratorSize:
    """The generator of `config` as a job reads it that computes in `dtype`.

    Raises ValueError and FileNotFoundError as loading it does.
    """
    return GeneratorSize(config, components(config, autoencoder=autoencoder, text_encoders=text_encoders), dtype)
