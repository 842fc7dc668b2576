"""Resolution buckets: the few image sizes a model sees, so that images of unlike shapes can share a batch.

They are shapes of about one area, or of several areas, or a list of one's own; latents and patches divide each evenly.
A picture goes to the one that changes it least (`nearest_bucket`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dina_lrm.typed import DinaError

_SAME_SHAPE: Final = 0.03
"""Shapes whose aspect ratios differ by less (in logarithms) count as one: what the code released with the paper allows
between a picture and its bucket. Shapes of one area lie at least twice as far apart."""


@dataclass(frozen=True, order=True)
class Bucket:
    """An image size in pixels."""

    width: int
    height: int

    def __post_init__(self) -> None:
        """Refuse sizes that are no image."""
        if self.width < 1 or self.height < 1:
            raise DinaError(f"bucket: {self}; width and height must be at least 1 pixel")

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    @property
    def pixels(self) -> int:
        """Its area."""
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def _squares(*sides: int) -> tuple[Bucket, ...]:
    return tuple(Bucket(side, side) for side in sides)


def _both_ways(*sizes: tuple[int, int]) -> tuple[Bucket, ...]:
    return tuple(bucket for one, other in sizes for bucket in (Bucket(one, other), Bucket(other, one)))


PRESETS: Final = {
    "paper": (*_squares(256, 512, 1024), *_both_ways((1024, 768), (1152, 832), (1248, 832), (1344, 896), (1472, 832))),
}
"""Lists by name. "paper": the 13 sizes of the code released with the paper, at which over 80 % of its pictures are."""


@dataclass(frozen=True)
class Sizes:
    """Which sizes are wanted, before it is known what a generator can take.

    `resolutions` are sides of squares in pixels, whose areas the sizes have in many shapes; `listed` are the sizes
    themselves. One of the two is given; order decides nothing.

    Raises:
        ValueError: none or both, or one twice.
    """

    resolutions: tuple[int, ...] = ()
    listed: tuple[Bucket, ...] = ()

    def __post_init__(self) -> None:
        given = self.resolutions or self.listed
        if bool(self.resolutions) == bool(self.listed) or len({*given}) < len(given):
            told = f"resolutions {list(self.resolutions)}, listed {list(map(str, self.listed))}"
            raise DinaError(f"sizes: {told}; accepted: one of the two, each size once")

    @classmethod
    def of(cls, given: int | Sizes) -> Sizes:
        """The side of one square stands for the shapes of its area."""
        return given if isinstance(given, Sizes) else cls((given,))

    @classmethod
    def parsed(cls, resolution: str | None, buckets: str | None) -> Sizes | None:
        """What two options say: "512" or "512,768,1024"; a name of `PRESETS` or "512x512,768x512". None: neither.

        Raises ValueError for both, and for words that are neither.
        """
        if resolution is not None and buckets is not None:
            raise DinaError(f"--resolution {resolution} and --buckets {buckets}; accepted: one of the two")
        if resolution is not None:
            words = resolution.split(",")
            if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
                raise DinaError(f"--resolution {resolution}; accepted: pixels above 0, such as 512 or 512,768,1024")
            return cls(tuple(map(int, words)))
        return None if buckets is None else cls(listed=_listed("--buckets ", buckets))

    @classmethod
    def of_model(cls, resolution: int, buckets: Sequence[str]) -> Sizes:
        """Those of a model: the shapes of one area, or the sizes that `buckets` name. ValueError for what is none."""
        return cls(listed=_listed("buckets: ", ",".join(buckets))) if buckets else cls((resolution,))

    @property
    def resolution(self) -> int | None:
        """The side of the square where all have one area."""
        return self.resolutions[0] if len(self.resolutions) == 1 else None

    @property
    def several(self) -> tuple[int, ...]:
        """The sides of the squares where sizes have several areas, the smallest first."""
        return tuple(sorted(self.resolutions)) if len(self.resolutions) > 1 else ()

    @property
    def most_pixels(self) -> int:
        """About the largest area."""
        return max([side**2 for side in self.resolutions] or [bucket.pixels for bucket in self.listed])

    def buckets(self, multiple: int) -> tuple[Bucket, ...]:
        """The sizes for a generator whose sides are multiples of `multiple`: of several areas the smallest ones first.

        Raises ValueError for one that it cannot take.
        """
        if self.resolution is not None:
            return buckets_for(self.resolution, multiple)
        for bucket in self.listed:
            if bucket.width % multiple or bucket.height % multiple:
                raise DinaError(
                    f"bucket {bucket}: this generator's sides are multiples of {multiple} pixels; accepted: such as "
                    f"{_rounded(bucket, multiple)}"
                )
        found = {bucket for side in self.resolutions for bucket in buckets_for(side, multiple)} | {*self.listed}
        return tuple(sorted(found, key=lambda bucket: (bucket.pixels, bucket)))

    def same_as(self, other: Sizes) -> bool:
        """Whether both are the same sizes, in any order."""
        return {*self.resolutions} == {*other.resolutions} and {*self.listed} == {*other.listed}

    @property
    def words(self) -> tuple[str, ...]:
        """The listed sizes as text, the smallest first; "resolution" tells the others."""
        return tuple(map(str, sorted(self.listed, key=lambda bucket: (bucket.pixels, bucket))))

    def __str__(self) -> str:
        """As people read it; after the option that asks for it again, but for the unit."""
        if self.resolutions:
            return f"{','.join(map(str, sorted(self.resolutions)))} pixels"
        name = next((name for name, held in PRESETS.items() if {*held} == {*self.listed}), None)
        return ",".join(self.words) if name is None else f"{name} ({len(self.listed)} sizes)"


def _listed(where: str, text: str) -> tuple[Bucket, ...]:
    if text in PRESETS:
        return PRESETS[text]
    found = [re.fullmatch(r"(\d{1,6})x(\d{1,6})", word.strip()) for word in text.split(",")]
    if not all(found):
        raise DinaError(f"{where}{text}; accepted: {', '.join(PRESETS)}, or WIDTHxHEIGHT,... as 512x512,768x512")
    return tuple(Bucket(int(each[1]), int(each[2])) for each in found if each)


def _rounded(bucket: Bucket, multiple: int) -> Bucket:
    return Bucket(*(max(1, round(side / multiple)) * multiple for side in (bucket.width, bucket.height)))


def buckets_for(resolution: int, multiple: int, max_aspect: float = 2.0) -> tuple[Bucket, ...]:
    """Buckets of about `resolution`^2 pixels, the square one and shapes up to `max_aspect` in both orientations.

    Sides are multiples of `multiple`: what the backbone needs, pixels per latent times latents per patch.
    """
    if multiple < 1 or resolution < multiple or resolution % multiple:
        raise DinaError(f"buckets: resolution={resolution}; accepted: positive multiples of {multiple} pixels")
    if max_aspect < 1.0:
        raise DinaError(f"buckets: max_aspect={max_aspect}; accepted: 1 or more")
    # At most ~16 steps down the short side: as many shapes as SDXL's list, at any resolution.
    step = multiple * max(1, round(resolution / 16 / multiple))
    found = {Bucket(resolution, resolution)}
    for short in range(resolution - step, 0, -step):
        long = multiple * round(resolution**2 / short / multiple)
        if long / short > max_aspect + 1e-9:
            break
        found |= {Bucket(short, long), Bucket(long, short)}
    return tuple(sorted(found))


def nearest_bucket(size: tuple[int, int], buckets: Sequence[Bucket]) -> Bucket:
    """The bucket that changes an image of `size` = (width, height) least.

    Its shape decides first, since what is cropped is gone: the nearest shape, and those within 3 % of it. Of these it
    is the one that is resampled least, up or down: an image is enlarged only where the next smaller bucket of its shape
    would change it more, and no more than that. Then the one that crops least, then the first. An image of a bucket's
    own size always goes there.
    """
    if not buckets:
        raise DinaError("buckets: none given; at least one is needed")
    image = Bucket(*size)

    def distance(bucket: Bucket) -> tuple[float, float]:
        return round(_unlike(bucket, image), 9), abs(math.log(bucket.pixels / image.pixels))

    def change(bucket: Bucket) -> tuple[float, float]:
        return round(abs(math.log(scale(size, bucket))), 9), round(_unlike(bucket, image), 9)

    nearest = min(buckets, key=distance)
    return min((bucket for bucket in buckets if _unlike(bucket, nearest) <= _SAME_SHAPE), key=change)


def scale(size: tuple[int, int], bucket: Bucket) -> float:
    """What an image's sides are multiplied by, so that it covers a bucket."""
    return max(bucket.width / size[0], bucket.height / size[1])


def _unlike(one: Bucket, other: Bucket) -> float:
    """How far two shapes are from one another: what is cropped of one that covers the other is 1 - exp(-that)."""
    return abs(math.log(one.aspect / other.aspect))


def common_bucket(sizes: Sequence[tuple[int, int]], buckets: Sequence[Bucket]) -> Bucket:
    """The bucket nearest to the mean shape of two images of (width, height), which both can be brought to."""
    width, height = (round(math.sqrt(math.prod(side))) for side in zip(*sizes, strict=True))
    return nearest_bucket((width, height), buckets)
