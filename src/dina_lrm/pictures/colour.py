"""Pictures of every mode as 8-bit sRGB: colour profiles are honoured, transparency is composited on white.

A profile that is sRGB, to a step of 1 in 255, leaves the pixels as they are. One that cannot be used (broken, or of
other colours than the picture's) does too, and a note says so.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image

from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from PIL import ImageCms

MAX_PROFILE: Final = 16 * 2**20
"""Bytes of a colour profile; those of printing presses have a few MiB."""
UNUSED_PROFILE: Final = "its colour profile cannot be used, and its colours were taken as sRGB"
_MODES: Final = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}


class RgbImage(NamedTuple):
    """An 8-bit RGB image; `note` says what of the picture was not followed, if anything."""

    image: Image.Image
    note: str | None = None


def to_rgb(image: Image.Image) -> RgbImage:
    """The picture as it is to be seen, in 8-bit sRGB on white.

    Raises ValueError for numbers that are no brightness: NaN, or outside 0..1 (float) and 0..65535 (integers).
    """
    profile = image.info.get("icc_profile")
    picture, alpha = _without_alpha(image)
    note = None
    if profile:
        try:
            picture = _in_srgb(picture, bytes(profile))
        except (ValueError, OSError, ImportError, TypeError):  # what LittleCMS and its wrapper raise
            note = UNUSED_PROFILE
    picture = picture.convert("RGB")
    if alpha is not None:
        picture.putalpha(alpha)
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    picture.info.pop("icc_profile", None)  # it was followed, and is not the pixels' any more
    return RgbImage(picture, note)


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The picture in a mode that profiles are made for (L, RGB, CMYK), and its alpha channel."""
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image), None
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return image.convert("RGB"), image.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in _MODES.values() else image.convert("RGB")), None


def _eight_bits(image: Image.Image) -> Image.Image:
    grey = np.asarray(image).astype(np.float64)
    limit = 1.0 if image.mode == "F" else 65535.0
    if not (grey.min() >= 0 and grey.max() <= limit):
        raise DinaError(f"mode {image.mode} with values {grey.min()}..{grey.max()}; accepted: 0..{limit:g}")
    return Image.fromarray((grey * (255 / limit)).round().astype(np.uint8))


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """The picture through its profile; ValueError or OSError for a profile that does not fit it."""
    mode = _MODES.get(profile[16:20])
    if mode is None or len(profile) > MAX_PROFILE:
        raise DinaError("no profile of RGB, grey or CMYK")
    if mode == "RGB" and picture.mode == "L":
        picture = picture.convert("RGB")
    if picture.mode != mode:
        raise DinaError(f"a profile of {mode} in a picture of {picture.mode}")
    transform = _transform(profile, mode)
    return picture if transform is None else transform.apply(picture)


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where nothing would change."""
    from PIL import ImageCms

    try:
        found = ImageCms.ImageCmsTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            flags=ImageCms.Flags.NOCACHE,  # the cache is written to by every thread
        )
    except ImageCms.PyCMSError as error:
        raise DinaError(str(error)) from error
    return None if mode == "RGB" and _changes_nothing(found) else found


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(18, -1, 3)
    seen = np.asarray(transform.apply(Image.fromarray(cube))).astype(int)
    return bool(np.abs(seen - cube).max() <= 1)
