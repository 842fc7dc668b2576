"""A map laid over its picture: the picture grey, the map in colour where it is dense."""

from __future__ import annotations

from typing import Final

import matplotlib as mpl
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dina_lrm.studio.why.maps import PictureMap

_COLOURS: Final = "inferno"
_STRONGEST: Final = 0.8
"""How much the densest place hides of the picture."""


def laid_over(pixels: UInt8[np.ndarray, "height width 3"], found: PictureMap) -> UInt8[np.ndarray, "height width 3"]:
    """The grey picture under the map; the densest cell is brightest whatever its share is. A map of nothing is grey."""
    height, width = pixels.shape[:2]
    densest = float(found.shares.max())
    scaled = found.shares / densest if densest > 0 else found.shares
    smooth = Image.fromarray(scaled.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    dense = np.clip(np.asarray(smooth, dtype=float), 0.0, 1.0)[..., None]
    grey = np.asarray(Image.fromarray(pixels).convert("L"), dtype=float)[..., None]
    colour = mpl.colormaps[_COLOURS](0.15 + 0.85 * dense[..., 0])[..., :3] * 255
    cover = _STRONGEST * dense
    return (grey * (1 - cover) + colour * cover).round().astype(np.uint8)
