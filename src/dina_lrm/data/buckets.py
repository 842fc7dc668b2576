"""Resolution buckets: the few image sizes a model sees, so that images of unlike shapes can share a batch.

All buckets of a model have about the same area and a shape that its latents and patches divide evenly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dina_lrm.typed import DinaError


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

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


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
    """The bucket nearest in aspect ratio to an image of `size` = (width, height), then nearest in area."""
    if not buckets:
        raise DinaError("buckets: none given; at least one is needed")
    image = Bucket(*size)

    def distance(bucket: Bucket) -> tuple[float, float]:
        area_ratio = bucket.width * bucket.height / (image.width * image.height)
        return round(abs(math.log(bucket.aspect / image.aspect)), 9), abs(math.log(area_ratio))

    return min(buckets, key=distance)


def common_bucket(sizes: Sequence[tuple[int, int]], buckets: Sequence[Bucket]) -> Bucket:
    """The bucket nearest to the mean shape of two images of (width, height), which both can be brought to."""
    width, height = (round(math.sqrt(math.prod(side))) for side in zip(*sizes, strict=True))
    return nearest_bucket((width, height), buckets)
