"""Images from anywhere to pixels of a bucket: files, bytes, PIL, numpy and tensors, each with its traps handled once.

Everything becomes RGB: EXIF rotation is applied, colour profiles are followed to sRGB, transparency is composited on
white, palettes, CMYK, grey and 16-bit images are converted, the first frame of an animation is taken. What cannot be
read raises `ValueError` naming the source; a path that does not exist raises `FileNotFoundError`.
"""

import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.data.buckets import Bucket
from dina_lrm.pictures.colour import RgbImage
from dina_lrm.pictures.files import MAX_PIXELS, check_size, decoded_bytes, decoded_image, file_bytes
from dina_lrm.pictures.sources import ACCEPTED, GivenPicture, described, is_one_picture, plain_picture
from dina_lrm.typed import DinaError


class ColourProfileWarning(UserWarning):
    """A picture's colour profile could not be used."""


def load_image(source: GivenPicture) -> Image.Image:
    """Read any image source as an 8-bit RGB PIL image; warns of colour profiles that cannot be used."""
    plain = plain_picture(source)
    if isinstance(plain, np.ndarray | Tensor):
        return Image.fromarray((load_pixels(plain) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
    found = _decoded(plain)
    if found.note is not None:
        warnings.warn(f"a picture was read, but {found.note}", ColourProfileWarning, stacklevel=2)
    return found.image


def load_pixels(source: GivenPicture) -> Float[Tensor, "3 height width"]:
    """Read any image source as float32 pixels in [0, 1] on the CPU; tensors and arrays keep their full precision."""
    plain = plain_picture(source)
    if isinstance(plain, Tensor):
        return _unit_range("tensor", _channels_first_rgb(plain.detach().cpu()))
    if isinstance(plain, np.ndarray):
        return _unit_range("array", _from_array(plain))
    return image_pixels(load_image(plain))


def image_pixels(image: Image.Image) -> Float[Tensor, "3 height width"]:
    """The float32 pixels in [0, 1] of an RGB image."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def split_images(images: object) -> list[GivenPicture]:
    """A list of single images from one image, several (a sequence, a column of a table), or a batch (B, 3, H, W).

    Raises ValueError for what is neither, and for a set, which has no order.
    """
    if isinstance(images, np.ndarray) and images.ndim == 1 and images.dtype.kind in "OUT":
        return list(images)
    if isinstance(images, Tensor | np.ndarray) and images.ndim == 4:
        return list(images)
    if is_one_picture(images):
        return [images]  # type: ignore[list-item]
    if not isinstance(images, Iterable) or isinstance(images, set | frozenset):
        raise DinaError(f"images: {described(images)}; accepted: {ACCEPTED}, or a list of them")
    return list(images)


def to_pixels(images: Sequence[GivenPicture], bucket: Bucket) -> Float[Tensor, "batch 3 height width"]:
    """Pixels in [-1, 1] of the bucket's size: each image is scaled to cover the bucket and cropped at the centre."""
    if not images:
        raise DinaError("to_pixels: no images given; at least one is needed")
    return torch.stack([fit(load_pixels(image), bucket) for image in images]) * 2 - 1


def fit(pixels: Float[Tensor, "3 height width"], bucket: Bucket) -> Float[Tensor, "3 bucket_height bucket_width"]:
    """Scale pixels in [0, 1] to cover the bucket (bicubic, antialiased) and crop the centre.

    Pixels of the bucket's size pass unchanged. Raises ValueError for a shape so long that it would take gigabytes.
    """
    height, width = pixels.shape[-2:]
    scale = max(bucket.width / width, bucket.height / height)
    size = max(bucket.height, round(height * scale)), max(bucket.width, round(width * scale))
    if size[0] * size[1] > MAX_PIXELS:
        raise DinaError(
            f"{width}x{height} pixels become {size[1]}x{size[0]} where they cover {bucket}; accepted: at most "
            f"{MAX_PIXELS} pixels"
        )
    if size != (height, width):
        pixels = F.interpolate(pixels[None], size, mode="bicubic", antialias=True, align_corners=False)[0].clamp(0, 1)
    top, left = (size[0] - bucket.height) // 2, (size[1] - bucket.width) // 2
    return pixels[:, top : top + bucket.height, left : left + bucket.width]


def png_bytes(image: Image.Image) -> bytes:
    """The image as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _decoded(source: str | Path | bytes | Image.Image) -> RgbImage:
    if isinstance(source, bytes):
        return decoded_bytes(source, f"image of {len(source)} bytes")
    if not isinstance(source, Image.Image):
        return decoded_bytes(file_bytes(Path(source)), str(source))
    try:
        return decoded_image(source)
    except Exception as error:  # decoders raise whatever comes to hand on broken input
        raise DinaError(f"PIL image: not a readable image: {error or type(error).__name__}") from error


def _channels_first_rgb(image: Tensor) -> Tensor:
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        raise DinaError(f"image tensor: shape {tuple(image.shape)}; accepted: (3, height, width), or a batch of them")
    check_size(image.shape[2], image.shape[1])
    if image.dtype == torch.uint8:
        return image.float() / 255
    if not image.is_floating_point():
        raise DinaError(f"image tensor: dtype {image.dtype}; accepted: torch.uint8, or a float type in [0, 1]")
    return image.float()


def _from_array(image: NDArray[Any]) -> Tensor:
    grid = image[..., None] if image.ndim == 2 else image
    if grid.ndim != 3 or grid.shape[2] not in (1, 3, 4) or grid.size == 0:
        raise DinaError(f"image array: shape {image.shape}; accepted: (height, width) or (height, width, 1, 3 or 4)")
    check_size(grid.shape[1], grid.shape[0])
    if grid.dtype in (np.uint8, np.uint16):
        grid = grid.astype(np.float32) / np.iinfo(grid.dtype).max
    elif grid.dtype.kind != "f":
        raise DinaError(f"image array: dtype {grid.dtype}; accepted: uint8, uint16, or a float type in [0, 1]")
    pixels = torch.from_numpy(np.ascontiguousarray(grid, dtype=np.float32)).permute(2, 0, 1)
    if pixels.shape[0] == 4:
        return pixels[:3] * pixels[3:] + (1 - pixels[3:])
    return pixels.expand(3, -1, -1)


def _unit_range(kind: str, pixels: Tensor) -> Tensor:
    if not torch.isfinite(pixels).all():
        raise DinaError(f"image {kind}: has non-finite values; accepted: finite values in [0, 1]")
    low, high = float(pixels.min()), float(pixels.max())
    # Decoders and resizing overshoot by rounding; more than that is another range, such as [-1, 1] or [0, 255].
    if low < -1e-3 or high > 1 + 1e-3:
        raise DinaError(f"image {kind}: float values in [{low:g}, {high:g}]; accepted: [0, 1], or uint8 in [0, 255]")
    return pixels.clamp(0, 1)
