"""One human judgement: a prompt, two images, and how likely the first is to be preferred.

Everything that is trained or measured here starts as a stream of `Comparison`. A ranking of several images is written
as its pairs; the pairs of one ranking share a `prompt_id`, and its images are recognised by `image_key`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image

from dina_lrm.data.named import named_preferences
from dina_lrm.pictures.sources import described, plain_picture
from dina_lrm.runs.content import content_of
from dina_lrm.typed import DinaError


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image that is known by its latents alone, (channels, height, width) in the generator's scaled space."""

    latents: Float32[np.ndarray, "channels height width"]
    name: str
    pixels_per_latent: int = 8

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        _, height, width = self.latents.shape
        return width * self.pixels_per_latent, height * self.pixels_per_latent

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EncodedImage):
            return NotImplemented
        same = (self.name, self.pixels_per_latent) == (other.name, other.pixels_per_latent)
        return same and np.array_equal(self.latents, other.latents)

    def __hash__(self) -> int:
        return hash((self.name, self.latents.shape, self.latents.tobytes()))


@dataclass(frozen=True)
class UnreadableImage:
    """A cell of a table that holds no picture: `name` is its place, `reason` a sentence on what stands there instead.

    Its comparison is left out and counted where pictures are read, as one is whose file is gone.
    """

    name: str
    reason: str


ImageSource = str | Path | bytes | Image.Image | EncodedImage | UnreadableImage
"""Where an image is: a path, the bytes of an image file, an image in memory, its latents, or why there is none."""
_NUMBERS = (int, float, np.integer, np.floating, np.bool_)


@dataclass(frozen=True)
class Comparison:
    """One judgement of two images for a prompt.

    `preference` is P(a preferred to b) in [0, 1], 0.5 a tie; `weight` scales its loss and is at least 0. `source` says
    which data set it is from, `pair_id` names the judgement, `prompt_id` the group of judgements it belongs to. `votes`
    is how many people judged, `confidence` what the data set says of its own label, in [0, 1]. `preferences` says
    P(a preferred) for each question that was asked, as pairs of its name and the number, sorted; `named_preferences`
    makes them of a mapping. Numbers may be NumPy's, images also file objects, other buffers and {"bytes", "path"}: they
    are kept as plain numbers, bytes and paths.

    Raises:
        ValueError: an empty prompt, text that holds half a character or NUL, a preference or confidence outside
            [0, 1], a negative or non-finite weight, less than one vote, an empty image source.
    """

    prompt: str
    image_a: ImageSource
    image_b: ImageSource
    preference: float
    weight: float = 1.0
    source: str | None = None
    pair_id: str | None = None
    prompt_id: str | None = None
    votes: int | None = None
    confidence: float | None = None
    preferences: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name, plain in _PLAIN.items():
            object.__setattr__(self, name, plain(getattr(self, name), name))
        if not self.prompt.strip():
            raise DinaError("prompt is empty; give the text that both images were made for")
        for name in ("prompt", "source", "pair_id", "prompt_id"):
            check_text(name, getattr(self, name))
        if not 0.0 <= self.preference <= 1.0:
            raise DinaError(
                f"preference is {self.preference!r}; give P(image_a preferred), a number in [0, 1]: labels -1, 0, 1 "
                "are written 0, 0.5, 1"
            )
        if not (self.weight >= 0.0 and math.isfinite(self.weight)):
            raise DinaError(f"weight is {self.weight!r}; give a finite number that is at least 0")
        if self.votes is not None and self.votes < 1:
            raise DinaError(f"votes is {self.votes!r}; give how many people judged, at least 1, or leave it out")
        if self.confidence is not None and not 0.0 <= self.confidence <= 1.0:
            raise DinaError(f"confidence is {self.confidence!r}; give a number in [0, 1], or leave it out")

    @property
    def is_tie(self) -> bool:
        """Whether neither image is preferred."""
        return self.preference == 0.5

    def swapped(self) -> Comparison:
        """The same judgement with the images in the other order."""
        return dataclasses.replace(
            self,
            image_a=self.image_b,
            image_b=self.image_a,
            preference=1.0 - self.preference,
            preferences=tuple((name, 1.0 - value) for name, value in self.preferences),
        )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise DinaError(f"{name}: {described(value)}; accepted: text")
    return str(value)


def _name(value: object, name: str) -> str | None:
    # Names of judgements are often numbers
    return None if value is None else str(value) if isinstance(value, int | np.integer) else _text(value, name)


def _number(value: object, name: str) -> float:
    if not isinstance(value, _NUMBERS):
        raise DinaError(f"{name}: {described(value)}; accepted: a number")
    return float(value)


def _optional_number(value: object, name: str) -> float | None:
    return None if value is None else _number(value, name)


def _count(value: object, name: str) -> int | None:
    if value is None:
        return None
    number = _number(value, name)
    if not number.is_integer():
        raise DinaError(f"{name} is {number!r}; accepted: a whole number of at least 1")
    return int(number)


def _image(value: object, name: str) -> ImageSource:
    if isinstance(value, EncodedImage | UnreadableImage):
        return value
    if isinstance(value, str | bytes | bytearray | memoryview) and not value:
        raise DinaError(f"{name} is empty; give a path, the bytes of an image file, or a PIL image")
    try:
        found = plain_picture(value)
    except ValueError as error:
        raise DinaError(f"{name}: {error}") from error
    if not isinstance(found, str | Path | bytes | Image.Image):
        raise DinaError(f"{name}: {described(value)}; give a path, the bytes of an image file, or a PIL image")
    return found


_PLAIN: dict[str, Callable[[object, str], object]] = {
    "prompt": _text,
    "image_a": _image,
    "image_b": _image,
    "preference": _number,
    "weight": _number,
    "source": _name,
    "pair_id": _name,
    "prompt_id": _name,
    "votes": _count,
    "confidence": _optional_number,
    "preferences": named_preferences,
}
"""How each field becomes what is written and read back as it is."""


def check_text(name: str, text: str | None) -> None:
    """Raise ValueError for what no encoder, file or database takes as text."""
    if text is None or text.isprintable():
        return
    if "\0" in text:
        raise DinaError(f"{name} is {text!r:.80}, which holds a NUL character; give text")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DinaError(f"{name} is {text!r:.80}, which holds half a character (a lone surrogate); give whole text")


def shuffle_sides(comparisons: Iterable[Comparison], seed: int) -> Iterator[Comparison]:
    """Swap the sides of each comparison on a fair coin, so that nothing can learn from the position.

    The coin of the n-th comparison is a function of (seed, n). Data sets that always list the winner first need this.
    """
    coin = random.Random(seed)
    for comparison in comparisons:
        yield comparison.swapped() if coin.random() < 0.5 else comparison


def with_random_side(comparison: Comparison, seed: int, name: str) -> Comparison:
    """The comparison or its swapped form, by a fair coin that is a function of (seed, name): the order of reading, and
    what else is read, do not matter.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return comparison.swapped() if digest[0] & 1 else comparison


def image_key(image: ImageSource) -> str:
    """Identity of an image: a hash of its content, the same for a file and for its bytes. Equal keys are encoded once.

    What cannot be read is known by its path.
    """
    if isinstance(image, str | Path):
        return _file_key(os.path.abspath(image))
    if isinstance(image, bytes):
        return f"bytes:{content_of(image)}"
    if isinstance(image, EncodedImage):
        told = f"{image.latents.dtype} {image.latents.shape} {image.pixels_per_latent} ".encode()
        return f"latents:{hashlib.sha256(told + image.latents.tobytes()).hexdigest()}"
    if isinstance(image, UnreadableImage):
        return f"none:{image.name}"
    content = hashlib.sha256(f"{image.mode} {image.size}".encode())
    content.update(image.tobytes())
    return f"pixels:{content.hexdigest()}"


def _file_key(path: str) -> str:
    try:
        if os.path.isfile(path):  # a pipe would be waited for
            return f"bytes:{content_of(path)}"
    except OSError:
        pass
    return f"path:{path}"


def oriented(prompt: str, keys: tuple[str, str], preference: float) -> tuple[tuple[str, str, str], float]:
    """What a judgement is about whichever image is called the first, and P(image of the lower key preferred)."""
    low, high = sorted(keys)
    return (prompt, low, high), preference if low == keys[0] else 1 - preference


def contradict(preference: float, other: float) -> bool:
    """Whether two judgements of one thing prefer different images; a tie contradicts nothing."""
    return (preference - 0.5) * (other - 0.5) < 0


def image_name(image: ImageSource) -> str:
    """How an image is called in reports: its path as given, or the first digits of its content hash."""
    if isinstance(image, EncodedImage | UnreadableImage):
        return image.name
    return os.fspath(image) if isinstance(image, str | Path) else image_key(image)[:19]
