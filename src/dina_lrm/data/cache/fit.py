"""How well the pictures of a cache fit the sizes that they were brought to: who keeps its own, who loses its edges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dina_lrm.data.cache.format import CacheHeader
from dina_lrm.data.cache.tables import IMAGES_FILE, read_columns

MUCH: Final = 0.1
"""Share of its area from which on a picture counts as cropped."""


@dataclass(frozen=True)
class SizeFit:
    """Pictures of a cache: `kept` have their own size, `scaled` another, `cropped` lose a tenth or more at the edges.

    The three add up to `images`, each picture counted once for each size that it is stored in. `most` is the largest
    share of its area that a picture loses.
    """

    images: int
    kept: int
    scaled: int
    cropped: int
    most: float

    def __str__(self) -> str:
        """In a sentence."""
        told = f"{self.kept} of {self.images} pictures keep their own size, {self.scaled} are scaled"
        return f"{told}, {self.cropped} lose a tenth of their area or more at the edges (at most {self.most:.0%})"


def size_fit(folder: Path, header: CacheHeader) -> SizeFit | None:
    """What the table of images says; None where it holds no sizes, as in caches of earlier versions and of latents."""
    if header.format_version < 2:
        return None
    columns = read_columns(folder, IMAGES_FILE, header)
    bucket = np.asarray(columns["bucket"])
    width, height = (np.asarray(columns[name], dtype=float) for name in ("width", "height"))
    known = [(b.width, b.height) for b in header.buckets]
    if not len(bucket) or not (width > 0).all() or any(size is None for pair in known for size in pair):
        return None
    wanted = np.array(known, dtype=float)[bucket]
    ratio = (width / height) / (wanted[:, 0] / wanted[:, 1])
    lost = 1 - np.minimum(ratio, 1 / ratio)
    kept = (width == wanted[:, 0]) & (height == wanted[:, 1])
    cropped = lost >= MUCH
    counts = (int(kept.sum()), int((~kept & ~cropped).sum()), int(cropped.sum()))
    return SizeFit(len(bucket), *counts, float(lost.max()))
