"""Files of pictures, opened in one place: harmless decoders only, and bounds that are checked before pixels are made.

Decoders that run other programs (EPS starts Ghostscript) or read anything as a picture are never tried, whatever a file
is called. A few kilobytes can claim to be an enormous picture; what is refused says its size and what is accepted.
"""

from __future__ import annotations

import io
import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from dina_lrm.pictures.colour import MAX_PROFILE, RgbImage, to_rgb
from dina_lrm.pictures.names import shown
from dina_lrm.pictures.sources import why_no_file
from dina_lrm.typed import DinaError

FORMATS: Final = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "TGA": (".tga",),
}
"""The formats that are opened, by Pillow's names, and how their files are called."""
SUFFIXES: Final = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
MAX_PIXELS: Final = 89_478_485
"""Larger pictures are refused. The limit at which Pillow warns."""
MAX_SIDE: Final = 65_535
MAX_RATIO: Final = 64
"""Largest ratio of the longer side to the shorter: a picture is scaled until its shorter side fits, and grows with the
square."""
MAX_BYTES: Final = 2**30
LARGE_PIXELS: Final = 2**24
"""Larger pictures are decoded one after another, however many threads ask."""
_one_large = threading.Lock()
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_TURNED: Final = (b"eXIf", b"Raw profile type", b"xmp")
"""What stands in a PNG that may say how it is to be turned, which Pillow reads from its pixels on."""
_ORIENTATION: Final = 0x0112
_ON_ITS_SIDE: Final = (5, 6, 7, 8)
_PNG_CORE: Final = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf")


def file_bytes(path: Path) -> bytes:
    """What a file holds, at most `MAX_BYTES`; a picture that is scored is hashed and decoded from the same bytes.

    Raises FileNotFoundError without such a file, ValueError for a path that is none, a folder, or too large a file.
    """
    try:
        status = path.stat()
    except PermissionError as error:
        raise DinaError(f"{shown(path)}: cannot be read ({error.strerror})") from error
    except (OSError, ValueError) as error:  # not there, longer than a name may be, or no name at all
        reason = why_no_file(path)
        kind = FileNotFoundError if reason.startswith("no such") else ValueError
        raise kind(f"{shown(path)}: {reason}") from error
    if not stat.S_ISREG(status.st_mode):
        raise DinaError(f"{shown(path)}: not a readable image: a folder or a device; accepted: an image file")
    if status.st_size > MAX_BYTES:
        raise DinaError(f"{shown(path)}: {status.st_size} bytes; accepted: image files of at most {MAX_BYTES}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DinaError(f"{shown(path)}: cannot be read ({error.strerror})") from error


def is_animated(path: Path) -> bool:
    """Whether a file that can be read is an animation, or has pages, of which the first alone is read.

    What cameras put behind a JPEG (previews, maps of brightness) is no further picture.
    """
    chosen = tuple(kind for kind in _formats() if kind != "TGA")
    try:
        with Image.open(io.BytesIO(file_bytes(path)), formats=chosen) as image:
            return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # decoders raise whatever comes to hand; a TGA, and a PNG with endless texts, have one picture
        return False


def decoded_bytes(data: bytes, name: str) -> RgbImage:
    """The picture that the bytes of a file hold; ValueError, beginning with `name`, for what is none."""
    # Decoders raise whatever comes to hand on broken input (OSError, SyntaxError, struct.error, ...).
    try:
        if not data:
            raise DinaError("the file is empty")
        try:
            return _decoded(data, name)
        except Exception:
            if not data.startswith(_PNG):
                raise
            return _decoded_core(data, name)
    except UnidentifiedImageError as error:
        raise DinaError(f"{shown(name)}: not a readable image: none of {', '.join(FORMATS)}") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DinaError(f"{shown(name)}: not a readable image: {shown(reason)}") from error


def measured_bytes(data: bytes, name: str) -> tuple[int, int]:
    """Width and height of the picture that the bytes of a file hold, as `decoded_bytes` gives it.

    They are those of the file's head where that can be told without decoding. Raises ValueError as `decoded_bytes`,
    for what is wrong with the head; pixels that are broken are found when they are decoded.
    """
    try:
        found = _measured(data, name)
    except Exception:  # decoding says what is wrong, or that nothing is
        found = None
    return decoded_bytes(data, name).image.size if found is None else found


def _measured(data: bytes, name: str) -> tuple[int, int] | None:
    if data.startswith(_PNG) and any(mark in data for mark in _PNG_TURNED):
        return None
    chosen = tuple(kind for kind in _formats() if kind != "TGA")
    with Image.open(io.BytesIO(data), formats=chosen) as image:
        check_size(*image.size)
        width, height = image.size
        turned = image.format != "PNG" and image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
    return (height, width) if turned else (width, height)


def decoded_image(image: Image.Image) -> RgbImage:
    """A PIL image as 8-bit RGB, turned as its EXIF data say; ValueError beyond the bounds or for broken pixels."""
    check_size(image.width, image.height)
    with _one_large if image.width * image.height > LARGE_PIXELS else nullcontext():
        image.load()
        return to_rgb(ImageOps.exif_transpose(image))


def check_size(width: int, height: int) -> None:
    """Raise ValueError for a picture that would take too much memory, before its pixels are made."""
    if width * height > MAX_PIXELS:
        raise DinaError(f"{width}x{height} pixels; at most {MAX_PIXELS} are accepted")
    if max(width, height) > MAX_SIDE or max(width, height) > MAX_RATIO * min(width, height):
        raise DinaError(
            f"{width}x{height} pixels; accepted: sides of at most {MAX_SIDE}, the longer at most {MAX_RATIO} times the "
            "shorter"
        )


def _decoded(data: bytes, name: str, profile: bytes | None = None) -> RgbImage:
    # A TGA has no mark of its own: any bytes can look like one
    chosen = tuple(kind for kind in _formats() if kind != "TGA" or name.lower().endswith(FORMATS["TGA"]))
    with Image.open(io.BytesIO(data), formats=chosen) as image:
        if profile is not None:
            image.info["icc_profile"] = profile
        return decoded_image(image)


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that this build of Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _decoded_core(data: bytes, name: str) -> RgbImage:
    """A PNG by what its pixels and colours need alone: node editors store more text in it than Pillow reads."""
    core, profile = [_PNG], None
    for kind, chunk in _chunks(data):
        if kind in _PNG_CORE:
            core.append(chunk)
        elif kind == b"iCCP":
            profile = _unpacked_profile(chunk[8:-4])
    return _decoded(b"".join(core), name, profile)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of each chunk of a PNG, the last one cut off where the file is."""
    place = len(_PNG)
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        yield kind, data[place : place + length + 12]
        place += length + 12


def _unpacked_profile(body: bytes) -> bytes:
    packed = body.partition(b"\0")[2][1:]
    try:
        return zlib.decompressobj().decompress(packed, MAX_PROFILE + 1)
    except zlib.error:
        return b"broken"  # so that it is not taken for a picture without a profile
