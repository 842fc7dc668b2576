"""How well the pictures of a cache fit the sizes that they were brought to: who keeps its own, who loses its edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dina_lrm.data.buckets import Bucket, scale

MUCH: Final = 0.1
"""Share of its area from which on a picture counts as cropped."""
_DIGITS: Final = 6
"""Means are rounded, so that the order of the pictures does not show in them."""


@dataclass(frozen=True)
class SizeFit:
    """Pictures of a cache, each counted once for each size that it is stored in.

    `kept` have their own size, `shrunk` and `enlarged` were resampled, `cut` only lost something at the edges: the four
    add up to `images`. `cropped` of them lose a tenth of their area or more. `lost` is the mean share of its area that
    a picture loses, `most` the largest; sides were multiplied by at least `least_scale` and at most `most_scale`.
    """

    images: int
    kept: int
    shrunk: int
    enlarged: int
    cut: int
    cropped: int
    lost: float
    most: float
    least_scale: float
    most_scale: float

    def __str__(self) -> str:
        """In a sentence."""
        told = [f"{self.kept} of {self.images} pictures keep their own size ({self.kept / self.images:.1%})"]
        if self.shrunk:
            told.append(f"{self.shrunk} are shrunk (to {self.least_scale:.2f} of their sides at most)")
        if self.enlarged:
            told.append(f"{self.enlarged} are enlarged (to {self.most_scale:.2f} of their sides at most)")
        if self.cut:
            told.append(f"{self.cut} are only cut")
        if self.most:
            edges = f"at most {self.most:.0%}, {self.lost:.1%} in the mean"
            told.append(f"{self.cropped} lose a tenth of their area or more at the edges ({edges})")
        return ", ".join(told)


class FitTally:
    """Counts pictures as they pass, by the sizes that they had and the buckets that they are in."""

    def __init__(self, sizes: Sequence[tuple[int | None, int | None]]) -> None:
        self._buckets = [Bucket(width, height) if width and height else None for width, height in sizes]
        self._is_known = all(self._buckets)
        self._kept = self._shrunk = self._enlarged = self._cut = self._cropped = 0
        self._lost, self._most, self._scales = 0.0, 0.0, (1.0, 1.0)

    def count(self, bucket: int, width: int, height: int) -> None:
        """Count one of `width` x `height` pixels, 0 where that is not known."""
        wanted = self._buckets[bucket]
        if wanted is None or not (width and height):
            self._is_known = False
            return
        by = scale((width, height), wanted)
        lost = 1 - wanted.pixels / (width * height * by * by)
        self._kept += (width, height) == (wanted.width, wanted.height)
        self._shrunk += by < 1
        self._enlarged += by > 1
        self._cut += by == 1 and (width, height) != (wanted.width, wanted.height)
        self._cropped += lost >= MUCH
        self._lost += lost
        self._most = max(self._most, lost)
        self._scales = min(self._scales[0], by), max(self._scales[1], by)

    @property
    def fit(self) -> SizeFit | None:
        """What was counted; None where that is nothing, or where a size is not known."""
        counts = (self._kept, self._shrunk, self._enlarged, self._cut)
        if not self._is_known or not sum(counts):
            return None
        shares = (self._lost / sum(counts), self._most, *self._scales)
        return SizeFit(sum(counts), *counts, self._cropped, *(round(share, _DIGITS) for share in shares))
