"""How each published judge brings a picture to the square that its model reads.

| judge | scaled by | picture |
|---|---|---|
| CLIP, PickScore, MPS | transformers | short side to n, long one truncated, middle cut at `(h - n) // 2` |
| ImageReward, aesthetic | torchvision | the same, cut at `round((h - n) / 2)`, halves to the even |
| HPSv2 | its copy of open_clip | long side to n, short one rounded, black beside it |

All but HPSv2 scale the 8-bit picture with Pillow, so that what the model reads are whole grey levels again; HPSv2
scales in floating point, overshoot included. Here the values are theirs, for a picture as it would be saved in 8 bits;
the gradient is that of the same scaling in floating point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.typed import DinaError

Pixels: TypeAlias = Float[Tensor, "3 height width"]
Scaled: TypeAlias = Float[Tensor, "3 scaled_height scaled_width"]
Square: TypeAlias = Float[Tensor, "3 side side"]
Triple: TypeAlias = tuple[float, float, float]
Cut: TypeAlias = Literal["floor", "even"]
"""Where half a pixel goes when the middle is cut out: down, or to the even one."""

CLIP_MEAN: Final[Triple] = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final[Triple] = (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of OpenAI's CLIP, which many judges took over."""
LONGEST: Final = 100_000
"""Pixels of a scaled side: a thin picture would fill the memory before its middle is cut out of it."""


class Frame(ABC):
    """Brings a picture of any size, float pixels in [0, 1], to a square."""

    @abstractmethod
    def __call__(self, picture: Pixels) -> Square:
        """The square; differentiable. Raises ValueError for a picture too thin to be scaled."""


@final
@dataclass(frozen=True)
class MiddleCut(Frame):
    """The short side scaled to `short`, then the middle `side` x `side` cut out."""

    short: int
    side: int
    cut: Cut

    def __post_init__(self) -> None:
        """Refuse a cut that is larger than what it is cut from."""
        if not 1 <= self.side <= self.short:
            raise DinaError(f"pictures scaled to {self.short} and cut to {self.side}; accepted: a cut of at most that")

    def __call__(self, picture: Pixels) -> Square:
        """Whole grey levels, as Pillow scales them."""
        size = scaled_size(picture.shape[1], picture.shape[2], self.short)
        scaled = scaled_levels(picture, size)
        top, left = (_offset(length - self.side, self.cut) for length in size)
        return scaled[:, top : top + self.side, left : left + self.side]


@final
@dataclass(frozen=True)
class BlackBars(Frame):
    """The long side scaled to `side`, black beside the short one."""

    side: int

    def __call__(self, picture: Pixels) -> Square:
        """Floating point: bicubic overshoot stays below 0 and above 1. A side of less than half a pixel becomes one."""
        height, width = picture.shape[1:]
        scale = self.side / float(max(height, width))
        size = max(1, round(height * scale)), max(1, round(width * scale))
        levels = _straight_through(picture, _levels(picture))
        scaled = levels if size == (height, width) else _interpolated(levels, size)
        above, left = ((self.side - length) // 2 for length in size)
        below, right = self.side - size[0] - above, self.side - size[1] - left
        return F.pad(scaled, (left, right, above, below))


@dataclass(frozen=True)
class Preparation:
    """From pictures to what a vision model takes: a frame, then the normalisation of each colour."""

    frame: Frame
    mean: Triple = CLIP_MEAN
    std: Triple = CLIP_STD

    def __call__(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 side side"]:
        """Prepare images in [0, 1]; differentiable."""
        pixels = torch.stack([self.frame(image) for image in images.float()])
        return (pixels - pixels.new_tensor(self.mean)[:, None, None]) / pixels.new_tensor(self.std)[:, None, None]


def scaled_size(height: int, width: int, short: int) -> tuple[int, int]:
    """Height and width with the short side at `short`, the long one truncated: `int(short * long / short side)`.

    Raises ValueError where the long side would be over `LONGEST`.
    """
    long = int(short * max(height, width) / min(height, width))
    if long > LONGEST:
        raise DinaError(
            f"a picture of {width} x {height} pixels, scaled to {short} at its short side, is {long} long; "
            f"accepted: at most {LONGEST}"
        )
    return (short, long) if height <= width else (long, short)


def scaled_levels(picture: Pixels, size: tuple[int, int]) -> Scaled:
    """Scaled to (height, width) by Pillow's bicubic filter on 8 bits, back in [0, 1]; with the gradient of the smooth
    scaling.
    """
    levels = _levels(picture)
    if size == tuple(picture.shape[1:]):
        return _straight_through(picture.clamp(0, 1), levels)
    whole = Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())
    found = torch.from_numpy(np.array(whole.resize((size[1], size[0]), Image.Resampling.BICUBIC))).permute(2, 0, 1)
    if not picture.requires_grad:
        return found.to(picture.device).float() / 255
    return _straight_through(_interpolated(picture, size).clamp(0, 1), found.to(picture.device))


def _levels(picture: Pixels) -> Tensor:
    return (picture.detach().clamp(0, 1) * 255).round().byte()


def _straight_through(smooth: Pixels, levels: Tensor) -> Pixels:
    """The values of 8-bit levels with the gradient of `smooth`."""
    values = levels.float() / 255
    return smooth + (values - smooth).detach() if smooth.requires_grad else values


def _interpolated(picture: Pixels, size: tuple[int, int]) -> Scaled:
    return F.interpolate(picture[None], size, mode="bicubic", antialias=True, align_corners=False)[0]


def _offset(spare: int, cut: Cut) -> int:
    return spare // 2 if cut == "floor" else round(spare / 2)
