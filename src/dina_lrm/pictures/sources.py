"""What may stand for a picture in Python, and what a text or a path that is none was meant to be.

One place decides it for scores, comparisons and data sets: an undecoded image of the datasets library is its bytes (its
path is where they came from), a file object is what it holds, and whatever else is given is named and refused.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dina_lrm.pictures.names import shown
from dina_lrm.typed import DinaError

PictureSource = str | Path | bytes | Image.Image | NDArray[Any] | Tensor
"""A path, the bytes of an image file, a PIL image, an array (H, W) or (H, W, 1|3|4), or a tensor (3, H, W)."""
GivenPicture = PictureSource | os.PathLike[str] | bytearray | memoryview | BinaryIO | io.IOBase | Mapping[str, Any]
"""What a caller may give for a picture: also file objects, other buffers, and {"bytes": ..., "path": ...}.

Arrays are uint8, uint16 or float in [0, 1]; tensors are uint8 or float in [0, 1].
"""
ACCEPTED: Final = (
    "a path, the bytes of an image file (also in a file object or as {'bytes': ..., 'path': ...}), a PIL image, an "
    "array or a tensor"
)
NO_FILE: Final = "no such image file"
"""Said of a path that might be one."""
_DATA_URI = re.compile(r"(^|/)data:[\w.+-]*/?[\w.+-]*[;,]")
_ADDRESS = re.compile(r"(^|/)(https?|ftp|s3|gs|hf|file):/")
_BASE64 = re.compile(r"[A-Za-z0-9+/=_-]{80,}\s*$")


def plain_picture(value: object) -> PictureSource:
    """The form of a picture that everything here reads, from any that is accepted.

    Raises ValueError for anything else, naming what was given.
    """
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, io.IOBase):
        return _content(value)
    if isinstance(value, str):
        if not value.strip():
            raise DinaError(f"picture: empty text; accepted: {ACCEPTED}")
        return str(value)
    if isinstance(value, Image.Image | np.ndarray | Tensor | Path):
        return value
    if isinstance(value, os.PathLike):
        return Path(os.fsdecode(value))
    raise DinaError(f"picture: {described(value)}; accepted: {ACCEPTED}")


def is_one_picture(value: object) -> bool:
    """Whether a value stands for a single picture rather than for several."""
    return isinstance(value, str | bytes | bytearray | memoryview | os.PathLike | io.IOBase | Mapping) or isinstance(
        value, Image.Image | np.ndarray | Tensor
    )


def described(value: object) -> str:
    """A value as an error names it: its kind and its beginning, in a hundred letters."""
    if value is None:
        return "None was given"
    if isinstance(value, float) and math.isnan(value):
        return "nan was given, a missing value of a table"
    return f"a {type(value).__name__} was given ({shown(repr(value))})"


def why_no_file(path: Path) -> str:
    """What stands where a picture's path should be, when there is no such file."""
    text = str(path)
    if _DATA_URI.search(text):
        return "is a data URI and no path; decode its base64 text, and give the bytes"
    if _ADDRESS.search(text):
        return "is an address, and nothing is fetched; download the file, and give its path"
    if _BASE64.search(text):
        return "is base64 text and no path; decode it, and give the bytes"
    if "\0" in text or any(len(os.fsencode(part)) > 255 for part in path.parts):
        return "cannot be the name of a file; accepted: the path of an image file"
    if "\\" in text and os.sep == "/":
        return "no such image file; backslashes do not part folders here, write them as /"
    return NO_FILE


def _of_mapping(value: Mapping[Any, Any]) -> PictureSource:
    for name in ("bytes", "path"):
        if value.get(name):
            return plain_picture(value[name])
    keys = ", ".join(map(str, value)) or "none"
    raise DinaError(f"picture: a mapping with the keys {shown(keys)}; accepted: one with 'bytes' or 'path' filled in")


def _content(file: io.IOBase) -> bytes:
    """All that a file object holds, wherever it stands: what was just written stands at its end."""
    if isinstance(file, io.BytesIO):
        return file.getvalue()
    if file.seekable():
        file.seek(0)
    content = file.read()
    if not isinstance(content, bytes):
        raise DinaError(f"picture: {described(file)}, which holds text; accepted: a file opened for bytes")
    return content
