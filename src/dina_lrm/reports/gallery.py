"""Galleries: what became of the same prompts and seeds over the steps, and before and after, as one picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dina_lrm.reports.theme import LIGHT, Theme
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.typed import DinaError

_SHOWN: Final = (128, 256)
"""Smallest and largest side of a picture as it is shown, in pixels."""
_GAP: Final = 6
_MARGIN: Final = 20
_BETWEEN: Final = 28
"""Between groups of columns."""
_TEXT: Final = 13
_LINE: Final = 18


@dataclass(frozen=True)
class _Layout:
    """Sizes in pixels: a tile, a group of tiles with its caption, and how the groups stand."""

    tile: tuple[int, int]
    columns: int
    lines: int
    across: int

    @property
    def group(self) -> tuple[int, int]:
        width, height = self.tile
        return self.columns * (width + _GAP) - _GAP, self.lines * _LINE + height + 2 * _GAP

    def place(self, number: int) -> tuple[int, int]:
        """Upper left corner of a group, below the heads of the columns."""
        width, height = self.group
        row, column = divmod(number, self.across)
        return _MARGIN + column * (width + _BETWEEN), _MARGIN + _LINE + _GAP + row * (height + _GAP)

    def size(self, groups: int) -> tuple[int, int]:
        """Return width and height of the whole picture, in pixels."""
        width, height = self.group
        rows = -(-groups // self.across)
        across = min(groups, self.across)
        return 2 * _MARGIN + across * (width + _BETWEEN) - _BETWEEN, 2 * _MARGIN + _LINE + rows * (height + _GAP)


def gallery(
    columns: Mapping[str, NDArray[np.uint8]], captions: Sequence[str], across: int = 1, theme: Theme = LIGHT
) -> Image.Image:
    """One row a caption and one column a key: `{"step 0": images, "step 20": images}`, captions above their rows.

    Every column is uint8 (n, height, width, 3) with one picture a caption, in one order: the same prompt and seed all
    along a row. `across` rows stand side by side. Small pictures are enlarged by whole numbers, so that every pixel
    shows. Raises ValueError for columns that do not fit.
    """
    _check(columns, captions, across)
    tile = _tile(next(iter(columns.values())).shape[1:3])
    font, strong = _font("DejaVuSans.ttf"), _font("DejaVuSans-Bold.ttf")
    width = len(columns) * (tile[0] + _GAP) - _GAP
    wrapped = [_wrapped(caption, font, width) for caption in captions]
    layout = _Layout(tile, len(columns), max(len(lines) for lines in wrapped), min(across, len(captions)))
    sheet = Image.new("RGB", layout.size(len(captions)), theme.paper)
    draw = ImageDraw.Draw(sheet)
    for number, lines in enumerate(wrapped):
        left, top = layout.place(number)
        for line, text in enumerate(lines, start=layout.lines - len(lines)):
            draw.text((left, top + line * _LINE), text, fill=theme.ink, font=font)
        for place, (head, images) in enumerate(columns.items()):
            x = left + place * (tile[0] + _GAP)
            sheet.paste(_shown(images[number], tile), (x, top + layout.lines * _LINE + _GAP // 2))
            if number < layout.across:
                draw.text((x + tile[0] // 2, _MARGIN), head, fill=theme.quiet, font=strong, anchor="ma")
    return sheet


def before_and_after(
    before: NDArray[np.uint8], after: NDArray[np.uint8], captions: Sequence[str], across: int = 3, theme: Theme = LIGHT
) -> Image.Image:
    """Pairs of pictures for the same prompt and seed, `across` pairs side by side."""
    return gallery({"before": before, "after": after}, captions, across, theme)


def save_gallery(sheet: Image.Image, path: Path) -> Path:
    """Write a gallery in the format of the suffix, making its folder, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_when_complete(path) as temporary:
        sheet.save(temporary)
    return path


def _check(columns: Mapping[str, NDArray[np.uint8]], captions: Sequence[str], across: int) -> None:
    if not columns or not captions or across < 1:
        raise DinaError(
            f"gallery: {len(columns)} columns, {len(captions)} captions, {across} across; accepted: 1 or more"
        )
    shape = next(iter(columns.values())).shape
    for name, images in columns.items():
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or images.shape != shape:
            raise DinaError(
                f"gallery, column {name!r}: {images.dtype} of shape {images.shape}; accepted: uint8 "
                f"(n, height, width, 3), all of one shape, the first being {shape}"
            )
    if shape[0] != len(captions):
        raise DinaError(f"gallery: {shape[0]} pictures a column and {len(captions)} captions; accepted: one each")


def _tile(size: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of a picture as it is shown."""
    height, width = size
    longest = max(height, width)
    scale = -(-_SHOWN[0] // longest) if longest < _SHOWN[0] else min(1.0, _SHOWN[1] / longest)
    return round(width * scale), round(height * scale)


def _shown(image: NDArray[np.uint8], tile: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(image)
    enlarged = tile[0] > picture.width
    return picture.resize(tile, Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS)


def _font(name: str) -> ImageFont.FreeTypeFont:
    """A font that comes with matplotlib: the same letters everywhere."""
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, _TEXT)


def _wrapped(caption: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The caption in at most three lines that fit the width; what does not fit ends in an ellipsis."""
    letters = max(8, int(width / (font.getlength("abcdefghij klmnopqrst") / 21)))
    lines = textwrap.wrap(caption, letters, max_lines=3, placeholder=" …") or [""]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    shown = line
    while font.getlength(shown) > width and len(shown) > 1:
        shown = shown.removesuffix("…")[:-1] + "…"
    return shown
