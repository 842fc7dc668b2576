"""What trainers hand over, as what a model is asked: one float32 latent, one row of conditioning, one picture.

Trainers send bfloat16, a batch axis of one or none, lists, numpy arrays, masks of integers, packed latents. All of it
ends here; what cannot be read is refused with its name, what came, and what is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.reward_model.checks import checked_levels
from dina_lrm.typed import DinaError


def latent_of(name: str, value: object) -> Float[Tensor, "channels height width"]:
    """One clean latent as float32, from (C, h, w) or (1, C, h, w). ValueError for pixels, tokens, and what is none."""
    found = _floating(name, value)
    shape = tuple(found.shape)
    if found.ndim == 4 and shape[0] == 1:
        found = found[0]
    if found.ndim == 2:
        raise DinaError(f"{name}: shape {shape} looks packed, (tokens, channels); accepted: (channels, height, width)")
    if found.ndim != 3:
        raise DinaError(f"{name}: shape {shape}; accepted: one latent, (channels, height, width)")
    return found.float()


def unpacked_latent(name: str, value: object, height: int, width: int) -> Float[Tensor, "channels height width"]:
    """One latent of FLUX, Qwen-Image and the like, (tokens, 4 C), for a picture of height x width pixels, as float32.

    A latent that is not packed is taken as it is. ValueError where the tokens are not those of that size.
    """
    found = _floating(name, value)
    found = found[0] if found.ndim == 3 and found.shape[0] == 1 else found
    if found.ndim != 2:
        return latent_of(name, found)
    tokens, channels = found.shape
    side = math.isqrt(height * width // max(1, tokens))  # of the square of pixels that a token stands for
    if side < 1 or height % side or width % side or (height // side) * (width // side) != tokens or channels % 4:
        given = f"packed latents of shape ({tokens}, {channels}) for {height}x{width} pixels"
        raise DinaError(f"{name}: {given}; accepted: (tokens, 4 times the channels), a token for each square of pixels")
    return rearrange(found.float(), "(h w) (c p q) -> c (h p) (w q)", h=height // side, p=2, q=2)


def conditioning_of(embeds: object, pooled: object = None, mask: object = None) -> Conditioning:
    """One row of conditioning as float32: tokens (N, D), a pooled vector (P,), a mask (N,); each may have a leading 1.

    A mask may be of numbers: what is not zero is a token. ValueError for what is missing or of another shape.
    """
    rows = [_row("prompt_embeds", embeds, 3)]
    rows += [] if pooled is None else [_row("pooled_prompt_embeds", pooled, 2)]
    real = None if mask is None else _batched("prompt_mask", _tensor("prompt_mask", mask), 2) != 0
    return Conditioning(rows[0], rows[1] if len(rows) > 1 else None, real)


def rows_of(name: str, values: object, count: int) -> list[Any]:
    """A batch as one value an item: rows of a tensor, entries of a list, as many None of None. ValueError else."""
    if values is None:
        return [None] * count
    if not isinstance(values, Sequence | Tensor | np.ndarray) or isinstance(values, str):
        raise DinaError(f"{name}: {type(values).__name__}; accepted: a list or a tensor with one entry an item")
    if len(values) != count:
        raise DinaError(f"{name}: {len(values)} entries for {count} items; accepted: one an item")
    return list(values)


def picture_of(name: str, value: object) -> Image.Image:
    """One picture in 8 bits, from a PIL image, or (3, H, W) or (1, 3, H, W): floats in [0, 1], or uint8."""
    if isinstance(value, Image.Image):
        return value.convert("RGB")
    found = _tensor(name, value).detach().cpu()
    found = found[0] if found.ndim == 4 and found.shape[0] == 1 else found
    if found.ndim != 3 or found.shape[0] != 3:
        raise DinaError(f"{name}: shape {tuple(found.shape)}; accepted: one picture, (3, height, width)")
    if found.dtype != torch.uint8:
        found = found.float()
        if not bool(((found >= -1e-3) & (found <= 1 + 1e-3)).all()):  # False of NaN too
            raise DinaError(f"{name}: floats outside [0, 1]; accepted: finite floats in [0, 1], or uint8")
        found = (found.clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(found.permute(1, 2, 0).contiguous().numpy())


def levels_of(noise_level: object) -> tuple[float, ...]:
    """The noise levels of a setting: a number in [0, 1], a list of them for an ensemble, None for the model's own."""
    if noise_level is None:
        return ()
    given = list(noise_level) if isinstance(noise_level, Sequence) and not isinstance(noise_level, str) else noise_level
    return checked_levels("noise_level", given, 0.0)


def _row(name: str, value: object, axes: int) -> Tensor:
    return _batched(name, _floating(name, value), axes).float()


def _batched(name: str, value: Tensor, axes: int) -> Tensor:
    """With a leading axis of one."""
    found = value[None] if value.ndim == axes - 1 else value
    if found.ndim != axes or found.shape[0] != 1:
        raise DinaError(f"{name}: shape {tuple(value.shape)}; accepted: {axes - 1} axes of one item, or a leading 1")
    return found


def _floating(name: str, value: object) -> Tensor:
    found = _tensor(name, value).detach()
    if not found.is_floating_point():
        raise DinaError(f"{name}: dtype {found.dtype}, as pixels or tokens have; accepted: floating types")
    return found


def _tensor(name: str, value: object) -> Tensor:
    if value is None:
        raise DinaError(f"{name}: is missing; accepted: a tensor")
    if isinstance(value, np.ndarray) and value.dtype.kind in "fbiu":
        return torch.from_numpy(value)
    if not isinstance(value, Tensor):
        raise DinaError(f"{name}: {type(value).__name__}; accepted: a tensor")
    return value
