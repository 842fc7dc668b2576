"""A plot of several panels as pieces of a page: each panel and each entry of the legend stands by itself.

On a desk the panels stand as they were drawn; on a phone they stack, each as wide as the screen, where one drawing
would shrink until nobody can read it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from dina_lrm.reports.drawing import adaptive_svg

_SVG: Final = "http://www.w3.org/2000/svg"
_POINT: Final = 96 / 72
"""Pixels of a page."""
_PAD: Final = 4.0
_FITS: Final = 470.0
"""Pixels up to which a panel may shrink to a phone's width; wider ones scroll."""

ET.register_namespace("", _SVG)
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


@dataclass(frozen=True)
class Piece:
    """An SVG element's content with the part of the drawing that it shows: left, top, width, height in points."""

    content: str
    box: tuple[float, float, float, float]
    name: str

    @property
    def width(self) -> float:
        """Pixels across at full size."""
        return self.box[2] * _POINT

    @property
    def least_width(self) -> float:
        """Pixels below which it scrolls instead of shrinking; 0 where it may always shrink."""
        return 0.0 if self.width <= _FITS else 0.85 * self.width

    @property
    def view(self) -> str:
        """The attribute `viewBox`."""
        return " ".join(f"{number:.1f}" for number in self.box)


@dataclass(frozen=True)
class Plate:
    """A whole plot: panels row by row, widths of the columns, keys of the legend, and what all refer to."""

    panels: Sequence[Piece]
    columns: Sequence[float]
    keys: Sequence[Piece]
    shared: str

    @property
    def scrolls(self) -> bool:
        """Whether a panel is too wide to shrink to a phone."""
        return any(panel.least_width > 0 for panel in self.panels)


def plate(figure: Figure, prefix: str) -> Plate:
    """Cut a figure drawn with `ADAPTIVE`; `prefix` makes ids unique in the page."""
    root = ET.fromstring(adaptive_svg(figure, prefix))
    height = float(root.attrib["viewBox"].split()[3])
    drawn = {group.attrib["id"]: group for group in root.iter(f"{{{_SVG}}}g") if "id" in group.attrib}
    shown = list(_shown(figure))
    boxes = {axes: _in_points(_extent(axes), figure, height) for _, axes in shown}
    panels = [
        Piece(_text(drawn[f"{prefix}-axes_{number}"]), _cell(axes, boxes), axes.get_title(loc="left"))
        for number, axes in shown
    ]
    widths = {_place(axes)[1]: piece.width for (_, axes), piece in zip(shown, panels, strict=True)}
    legends = {name: group for name, group in drawn.items() if name.startswith(f"{prefix}-legend_")}
    keys = [key for name, group in legends.items() for key in _keys(group, name)]
    loose = "".join(_text(child) for child in root if child.tag == f"{{{_SVG}}}defs")
    return Plate(
        panels, [widths[column] for column in sorted(widths)], keys, loose + "".join(map(_text, legends.values()))
    )


def _shown(figure: Figure) -> Iterator[tuple[int, Axes]]:
    """The panels that hold something, with their numbers in the drawing."""
    for number, axes in enumerate(figure.axes, start=1):
        if axes.axison or axes.has_data():
            yield number, axes


def _extent(axes: Axes) -> Bbox:
    found = axes.get_tightbbox()
    assert found is not None, "a panel that is shown has an extent"
    return Bbox(found.get_points())


def _in_points(box: Bbox, figure: Figure, height: float) -> tuple[float, float, float, float]:
    """Left, top, right, bottom as the SVG counts them: from the upper left corner, in points."""
    scale = 72 / figure.dpi
    return box.x0 * scale, height - box.y1 * scale, box.x1 * scale, height - box.y0 * scale


def _place(axes: Axes) -> tuple[int, int]:
    spec = axes.get_subplotspec()
    return (0, 0) if spec is None else (spec.rowspan.start, spec.colspan.start)


def _cell(axes: Axes, boxes: dict[Axes, tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    """The panel's row and column: panels of a row are equally high, those of a column equally wide."""
    row, column = _place(axes)
    across = [box for other, box in boxes.items() if _place(other)[1] == column]
    along = [box for other, box in boxes.items() if _place(other)[0] == row]
    left, right = min(box[0] for box in across) - _PAD, max(box[2] for box in across) + _PAD
    top, bottom = min(box[1] for box in along) - _PAD, max(box[3] for box in along) + _PAD
    return left, top, right - left, bottom - top


def _keys(legend: ET.Element, name: str) -> Iterator[Piece]:
    """Each entry of a drawn legend: its handle stands left of its text, and is named by it."""
    for text in legend.iter(f"{{{_SVG}}}text"):
        left, baseline = float(text.attrib["x"]), float(text.attrib["y"])
        yield Piece(f'<use href="#{name}"></use>', (left - 24, baseline - 9, 19.0, 12.0), (text.text or "").strip())


def _text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")
