"""Images from anywhere to pixels of a bucket: files, bytes, PIL, numpy and tensors, each with its traps handled once.

Everything becomes RGB: EXIF rotation is applied, transparency is composited on white, palettes, CMYK, grey and 16-bit
images are converted, the first frame of an animation is taken, colour profiles are ignored. What cannot be read raises
`ValueError` naming the source; a path that does not exist raises `FileNotFoundError`.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.data.buckets import Bucket

ImageSource = str | Path | bytes | Image.Image | NDArray[Any] | Tensor
"""A path, encoded bytes, a PIL image, an array (H, W) or (H, W, 1|3|4), or a tensor (3, H, W).

Arrays are uint8, uint16 or float in [0, 1]; tensors are uint8 or float in [0, 1].
"""

MAX_PIXELS = 89_478_485
"""Larger files are refused: a few kilobytes can claim to be an enormous image. The limit at which Pillow warns."""


def load_image(source: ImageSource) -> Image.Image:
    """Read any image source as an 8-bit RGB PIL image."""
    if isinstance(source, np.ndarray | Tensor):
        pixels = load_pixels(source)
        return Image.fromarray((pixels * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
    if isinstance(source, Image.Image):
        return _decoded("PIL image", source)
    if isinstance(source, bytes):
        return _decoded(f"image of {len(source)} bytes", io.BytesIO(source))
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such image file")
    return _decoded(str(path), path)


def load_pixels(source: ImageSource) -> Float[Tensor, "3 height width"]:
    """Read any image source as float32 pixels in [0, 1] on the CPU; tensors and arrays keep their full precision."""
    if isinstance(source, Tensor):
        return _unit_range("tensor", _channels_first_rgb(source.detach().cpu()))
    if isinstance(source, np.ndarray):
        return _unit_range("array", _from_array(source))
    return torch.from_numpy(np.array(load_image(source))).permute(2, 0, 1).float() / 255


def split_images(images: ImageSource | Sequence[ImageSource]) -> list[ImageSource]:
    """A list of single images from one image, a sequence of them, or a batch tensor (B, 3, H, W)."""
    if isinstance(images, Tensor | np.ndarray) and images.ndim == 4:
        return list(images)
    if isinstance(images, str | Path | bytes | Image.Image | np.ndarray | Tensor):
        return [images]
    return list(images)


def to_pixels(images: Sequence[ImageSource], bucket: Bucket) -> Float[Tensor, "batch 3 height width"]:
    """Pixels in [-1, 1] of the bucket's size: each image is scaled to cover the bucket and cropped at the centre."""
    if not images:
        raise ValueError("to_pixels: no images given; at least one is needed")
    return torch.stack([fit(load_pixels(image), bucket) for image in images]) * 2 - 1


def fit(pixels: Float[Tensor, "3 height width"], bucket: Bucket) -> Float[Tensor, "3 bucket_height bucket_width"]:
    """Scale pixels in [0, 1] to cover the bucket (bicubic, antialiased) and crop the centre.

    Pixels of the bucket's size pass unchanged.
    """
    height, width = pixels.shape[-2:]
    scale = max(bucket.width / width, bucket.height / height)
    size = max(bucket.height, round(height * scale)), max(bucket.width, round(width * scale))
    if size != (height, width):
        pixels = F.interpolate(pixels[None], size, mode="bicubic", antialias=True, align_corners=False)[0].clamp(0, 1)
    top, left = (size[0] - bucket.height) // 2, (size[1] - bucket.width) // 2
    return pixels[:, top : top + bucket.height, left : left + bucket.width]


def png_bytes(image: Image.Image) -> bytes:
    """The image as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _decoded(name: str, source: Image.Image | Path | io.BytesIO) -> Image.Image:
    # Decoders raise whatever comes to hand on broken input (OSError, SyntaxError, struct.error, ...).
    try:
        if isinstance(source, Image.Image):
            return _checked_rgb(source)
        with source.open("rb") if isinstance(source, Path) else source as file, Image.open(file) as image:
            return _checked_rgb(image)
    except Exception as error:
        raise ValueError(f"{name}: not a readable image: {error or type(error).__name__}") from error


def _checked_rgb(image: Image.Image) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width}x{image.height} pixels; at most {MAX_PIXELS} are accepted")
    image.load()
    return _to_rgb(ImageOps.exif_transpose(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image).astype(np.float64)
        limit = 1.0 if image.mode == "F" else 65535.0
        if not (grey.min() >= 0 and grey.max() <= limit):
            raise ValueError(f"mode {image.mode} with values {grey.min()}..{grey.max()}; accepted: 0..{limit:g}")
        return Image.fromarray((grey * (255 / limit)).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _channels_first_rgb(image: Tensor) -> Tensor:
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        raise ValueError(f"image tensor: shape {tuple(image.shape)}; accepted: (3, height, width), or a batch of them")
    if image.dtype == torch.uint8:
        return image.float() / 255
    if not image.is_floating_point():
        raise ValueError(f"image tensor: dtype {image.dtype}; accepted: torch.uint8, or a float type in [0, 1]")
    return image.float()


def _from_array(image: NDArray[Any]) -> Tensor:
    grid = image[..., None] if image.ndim == 2 else image
    if grid.ndim != 3 or grid.shape[2] not in (1, 3, 4) or grid.size == 0:
        raise ValueError(f"image array: shape {image.shape}; accepted: (height, width) or (height, width, 1, 3 or 4)")
    if grid.dtype in (np.uint8, np.uint16):
        grid = grid.astype(np.float32) / np.iinfo(grid.dtype).max
    elif grid.dtype.kind != "f":
        raise ValueError(f"image array: dtype {grid.dtype}; accepted: uint8, uint16, or a float type in [0, 1]")
    pixels = torch.from_numpy(np.ascontiguousarray(grid, dtype=np.float32)).permute(2, 0, 1)
    if pixels.shape[0] == 4:
        return pixels[:3] * pixels[3:] + (1 - pixels[3:])
    return pixels.expand(3, -1, -1)


def _unit_range(kind: str, pixels: Tensor) -> Tensor:
    if not torch.isfinite(pixels).all():
        raise ValueError(f"image {kind}: has non-finite values; accepted: finite values in [0, 1]")
    low, high = float(pixels.min()), float(pixels.max())
    # Decoders and resizing overshoot by rounding; more than that is another range, such as [-1, 1] or [0, 255].
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(f"image {kind}: float values in [{low:g}, {high:g}]; accepted: [0, 1], or uint8 in [0, 255]")
    return pixels.clamp(0, 1)
