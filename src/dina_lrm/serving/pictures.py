"""Pictures out of requests: their bytes alone, three formats by their first bytes, bounded before pixels are made."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Final

from PIL import Image

from dina_lrm.pictures.files import check_size, decoded_bytes
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request

_FORMATS: Final = ("PNG", "JPEG", "WEBP")


def picture_of(data: bytes, name: str, limits: Limits) -> Image.Image:
    """The picture of a file's bytes; `name` stands in errors.

    Raises:
        Problem: 400 for other formats, broken and animated files, 413 for too many pixels.
    """
    if not (data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (data[:4], data[8:12]) == (b"RIFF", b"WEBP")):
        raise bad_request("bad_image", f"{name}: accepted: the bytes of a PNG, JPEG or WebP file")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height, frames = image.width, image.height, getattr(image, "n_frames", 1)
        check_size(width, height)
    except Exception as error:  # decoders raise whatever comes to hand on broken input
        raise bad_request("bad_image", f"{name}: {error!s:.200}") from error
    if width * height > limits.pixels:
        raise Problem(413, "too_large", f"{name}: {width}x{height} pixels; accepted: at most {limits.pixels}")
    if frames > 1:
        raise bad_request("bad_image", f"{name}: {frames} frames; accepted: pictures that stand still")
    try:
        return decoded_bytes(data, name)[0]
    except ValueError as error:
        raise bad_request("bad_image", f"{error!s:.300}") from error


def picture_of_base64(text: str, name: str, limits: Limits) -> Image.Image:
    """The picture of a file's bytes as base64, with or without "data:image/...;base64," before it."""
    if text.startswith("data:"):
        kind, comma, text = text.partition(",")
        if not (comma and kind.startswith("data:image/") and kind.endswith(";base64")):
            raise bad_request("reference_refused", f"{name}: {kind[:40]!r}; accepted: data:image/..;base64")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_request("bad_image", f"{name}: not base64 ({error!s:.80})") from error
    return picture_of(data, name, limits)
