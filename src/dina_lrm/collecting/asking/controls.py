"""Pairs whose answer is known: a picture against its damaged self, a picture of the prompt against one of another.

They tell who looks from who clicks, and nothing of taste. How strong a damage is stands in the pair's source.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final, final

import numpy as np
from PIL import Image, ImageFilter

from dina_lrm.collecting.candidates.candidate import Candidate
from dina_lrm.data.votes import NewPair
from dina_lrm.pictures.files import decoded_bytes, file_bytes

_LARGEST: Final = 1024
"""Pixels of a damaged copy's longer side, and of the copy of the picture that it stands against."""


def _blur(image: Image.Image, seed: int) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 24))


def _noise(image: Image.Image, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 90, (*image.size[::-1], 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def _blocks(image: Image.Image, seed: int) -> Image.Image:
    small = image.resize((max(1, image.width // 12), max(1, image.height // 12)), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST)


def _cut(image: Image.Image, seed: int) -> Image.Image:
    """A grey hole of a quarter of the picture, over its middle."""
    found, (width, height) = image.copy(), image.size
    place = Random(seed)
    left, top = (int(place.uniform(0.15, 0.35) * side) for side in (width, height))
    found.paste((128, 128, 128), (left, top, left + width // 2, top + height // 2))
    return found


DAMAGES: Final[dict[str, Callable[[Image.Image, int], Image.Image]]] = {
    "blurred": _blur,
    "noisy": _noise,
    "in blocks": _blocks,
    "with a hole": _cut,
}
"""What is done to a picture, by the words that say so."""


@final
class ControlMaker:
    """Makes a control of every so many candidates, by `share`; which one is a function of `seed` and of their order."""

    def __init__(self, share: float, seed: int) -> None:
        self._coin = Random(f"controls {seed}")
        self._chance = share / max(1e-9, 1 - share)
        self._before: Candidate | None = None

    def made_of(self, candidate: Candidate) -> Iterator[NewPair]:
        """At most one control of a pair; a picture that cannot be read gives none, and is told as part of its pair."""
        before, self._before = self._before, candidate
        if self._coin.random() >= self._chance:
            return
        kinds = [*DAMAGES, *(["wrong prompt"] if before is not None and before.prompt != candidate.prompt else [])]
        kind, seed = self._coin.choice(kinds), self._coin.randrange(2**31)
        try:
            if kind == "wrong prompt":
                assert before is not None
                pictures = (candidate.first, before.first)
                yield NewPair(candidate.prompt, *pictures, "control", "first", "control: picture of another prompt")
            else:
                yield _damaged(candidate, kind, seed)
        except (ValueError, OSError):
            return


def _damaged(candidate: Candidate, kind: str, seed: int) -> NewPair:
    given = candidate.first
    data, name = (given, "picture") if isinstance(given, bytes) else (file_bytes(given), str(given))
    image = decoded_bytes(data, name).image
    image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
    first: Path | bytes = given
    return NewPair(candidate.prompt, first, _png(DAMAGES[kind](image, seed)), "control", "first", f"control: {kind}")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
