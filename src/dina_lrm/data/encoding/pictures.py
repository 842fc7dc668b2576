"""Where the encoder finds a picture again: by its path, or put aside in a file when the source gave it only once."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dina_lrm.data.comparison import EncodedImage, ImageSource, UnreadableImage, image_name
from dina_lrm.images import ColourProfileWarning, load_image, png_bytes
from dina_lrm.pictures.files import decoded_bytes, file_bytes, measured_bytes
from dina_lrm.runs.content import content_of
from dina_lrm.typed import DinaError


class PictureChangedError(DinaError):
    """A picture is another one now than when the encoding was planned."""


class Place(NamedTuple):
    """`kind` "path": a file at `path`; "aside": the bytes of an image file, or "latents": float32 numbers of `shape`,
    both at `offset` of the file that pictures are put aside in. `name` is how it is called, `key` what it holds.
    """

    kind: Literal["path", "aside", "latents"]
    name: str
    key: str
    path: str = ""
    offset: int = 0
    length: int = 0
    shape: tuple[int, ...] = ()


def place_of(name: str, key: str, path: str, offset: int, length: int, shape: tuple[int, ...]) -> Place:
    """The place of a picture: at its path, where it has one."""
    kind: Literal["path", "aside", "latents"] = "path" if path else "latents" if shape else "aside"
    return Place(kind, name, key, path, offset, length, shape)


@dataclass(frozen=True)
class Looked:
    """A picture as planning sees it: its size in pixels; and its bytes, where it has no path to be found by."""

    name: str
    size: tuple[int, int]
    path: str = ""
    aside: bytes = b""
    shape: tuple[int, ...] = ()
    """Of latents, where that is what is known of it."""


def looked_at(source: ImageSource) -> Looked | str:
    """The picture, not decoded; or a sentence saying why there is none."""
    if isinstance(source, UnreadableImage):
        return f"{source.name}: {source.reason}"
    name = image_name(source)
    if isinstance(source, EncodedImage):
        latents = np.ascontiguousarray(source.latents, dtype=np.float32)
        return Looked(name, source.size, aside=latents.tobytes(), shape=latents.shape)
    try:
        if isinstance(source, str | Path):
            return Looked(name, measured_bytes(file_bytes(Path(source)), str(source)), os.path.abspath(source))
        if isinstance(source, bytes):
            return Looked(name, measured_bytes(source, f"image of {len(source)} bytes"), aside=source)
        image = load_image(source)
        return Looked(name, image.size, aside=png_bytes(image))
    except (ValueError, OSError) as error:
        return str(error)


def picture_of(place: Place, aside: Path) -> Image.Image | Tensor | str:
    """The picture, or its latents, or a sentence saying why neither can be read.

    Raises PictureChangedError where the file at its path holds something else than when it was planned.
    """
    if place.kind == "latents":
        values = np.frombuffer(_read(aside, place), dtype=np.float32).reshape(place.shape)
        return torch.from_numpy(values.copy())
    try:
        data = file_bytes(Path(place.path)) if place.kind == "path" else _read(aside, place)
    except (ValueError, OSError) as error:
        raise PictureChangedError(f"{place.name}: was there when the encoding was planned ({error})") from error
    if place.kind == "path" and place.key != f"bytes:{content_of(data)}":
        raise PictureChangedError(f"{place.name}: is another picture than when the encoding was planned")
    try:
        found = decoded_bytes(data, place.path or place.name)
    except ValueError as error:
        return str(error)
    if found.note is not None:
        warnings.warn(f"{place.name}: was read, but {found.note}", ColourProfileWarning, stacklevel=2)
    return found.image


def _read(aside: Path, place: Place) -> bytes:
    with aside.open("rb") as file:
        file.seek(place.offset)
        data = file.read(place.length)
    if len(data) < place.length:
        raise OSError(f"{aside} is cut off")
    return data
