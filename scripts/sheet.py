"""A figure on which pictures and words are placed in pixels of the page, for the pictures of the documents."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dina_lrm.reports.theme import Theme

PIXELS_PER_INCH: Final = 80
"""Half of what `save_figure` writes, so that a dense screen has two pixels for each of the page."""


class Sheet:
    """A figure on which things are placed in pixels of the page, from the top left."""

    def __init__(self, width: int, height: int, theme: Theme) -> None:
        self.figure = Figure(figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH), layout="none")
        self.theme, self._width, self._height = theme, width, height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place of the sheet."""
        bottom = self._height - top - height
        sizes = (left / self._width, bottom / self._height, width / self._width, height / self._height)
        return self.figure.add_axes(sizes)

    def picture(self, image: UInt8[np.ndarray, "height width 3"], left: float, top: float, side: float) -> Axes:
        """A small picture, each of its pixels a square."""
        axes = self.axes(left, top, side, side)
        axes.imshow(image, interpolation="nearest")
        axes.set_axis_off()
        return axes

    def text(self, words: str, left: float, top: float, size: float = 11, **style: object) -> None:
        """Words whose top left corner is at a place of the sheet."""
        told = {"va": "top", "fontsize": size * 72 / PIXELS_PER_INCH, **style}
        self.figure.text(left / self._width, 1 - top / self._height, words, **told)
