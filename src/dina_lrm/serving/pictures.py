"""Pictures out of requests: their bytes alone, three formats by their first bytes, bounded before pixels are made."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Final, final

from PIL import Image, UnidentifiedImageError

from dina_lrm.pictures.files import check_size, decoded_bytes
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request

_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_MOST_SCANS: Final = 100
"""Scans of a progressive JPEG, each of which goes through the whole picture; honest files have about ten."""


@final
class Gallery:
    """Counts the pixels of one request's pictures, all of them before the first is decoded."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._pixels = limits, 0

    def counted(self, data: bytes, name: str) -> bytes:
        """The bytes of a file, whose pixels are counted now; `name` stands in errors.

        Raises:
            Problem: 400 for other formats, broken and animated files, 413 for too many pixels.
        """
        self._count(*_size(data, name), name)
        return data

    def of_base64(self, text: str, name: str) -> bytes:
        """As `counted`, of bytes that came as base64, with or without "data:image/...;base64," before it."""
        if text.startswith("data:"):
            kind, comma, text = text.partition(",")
            if not (comma and kind.startswith("data:image/") and kind.endswith(";base64")):
                raise bad_request("reference_refused", f"{name}: {kind[:40]!r}; accepted: data:image/..;base64")
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise bad_request("bad_image", f"{name}: not base64 ({error!s:.80})") from error
        return self.counted(data, name)

    def _count(self, width: int, height: int, name: str) -> None:
        pixels, limits = width * height, self._limits
        self._pixels += pixels
        if pixels > limits.pixels:
            raise Problem(413, "too_large", f"{name}: {width}x{height} pixels; accepted: at most {limits.pixels}")
        if self._pixels > limits.request_pixels:
            told = f"{name}: with it {self._pixels} pixels in all; accepted: at most {limits.request_pixels}"
            raise Problem(413, "too_large", told)


def decoded(data: bytes, name: str) -> Image.Image:
    """The picture of a file's bytes, which were counted before. Problem 400 where they are broken."""
    try:
        return decoded_bytes(data, name)[0]
    except ValueError as error:
        raise bad_request("bad_image", f"{error!s:.300}") from error


def _size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height of a file, by its first bytes. Problem 400 for what is no single picture."""
    if not (data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (data[:4], data[8:12]) == (b"RIFF", b"WEBP")):
        raise bad_request("bad_image", f"{name}: accepted: the bytes of a PNG, JPEG or WebP file")
    if data.startswith(b"\xff\xd8") and (scans := data.count(b"\xff\xda")) > _MOST_SCANS:
        raise bad_request("bad_image", f"{name}: a JPEG of {scans} scans; accepted: at most {_MOST_SCANS}")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height, frames = image.width, image.height, getattr(image, "n_frames", 1)
        check_size(width, height)
    except UnidentifiedImageError as error:
        raise bad_request("bad_image", f"{name}: a broken file; accepted: PNG, JPEG or WebP") from error
    except Exception as error:  # decoders raise whatever comes to hand on broken input
        raise bad_request("bad_image", f"{name}: {error!s:.200}") from error
    if frames > 1:
        raise bad_request("bad_image", f"{name}: {frames} frames; accepted: pictures that stand still")
    return width, height
