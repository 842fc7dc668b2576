"""Plots drawn in a theme's colours and type, saved as files or as elements of a page."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from dina_lrm.reports.theme import ADAPTIVE, Theme, css_variables
from dina_lrm.runs.files import replaced_when_complete

FONT_FAMILY: Final = ("Inter", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")

_ONE_AT_A_TIME: Final = threading.RLock()
"""Matplotlib's settings are those of the process: threads that draw take turns."""


@contextmanager
def drawing(theme: Theme) -> Iterator[None]:
    """Matplotlib's settings while a figure is made and saved; the caller's own settings are left alone."""
    with _ONE_AT_A_TIME, mpl.rc_context(mpl.RcParams(_settings(theme))):
        yield


@contextmanager
def _saving() -> Iterator[None]:
    # Labels of ticks are made while a figure is saved
    with (
        _ONE_AT_A_TIME,
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dina-lrm", "text.parse_math": False}),
    ):
        yield


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure drawn with `LIGHT` or `DARK` to a file, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with (
        _saving(),
        replaced_when_complete(path) as drawn,
    ):
        figure.savefig(drawn, dpi=160, metadata=metadata)


def adaptive_svg(figure: Figure, prefix: str) -> str:
    """A figure drawn with `ADAPTIVE` as an inline SVG element: CSS variables for colours, text as text, no links.

    `prefix` makes ids unique in a page that holds several figures.
    """
    buffer = io.StringIO()
    with _saving():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for name, placeholder in css_variables(ADAPTIVE).items():
        svg = svg.replace(placeholder, f"var({name})")
    # The page's own typeface, and no style rule that would reach beyond this element.
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{prefix}-", svg)
    # Width and height in points would fix the size; the viewBox keeps the proportions.
    svg = re.sub(r'^(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'^(<svg[^>]*?) height="[^"]*"', r"\1", svg))
    return svg.replace("<svg", '<svg stroke-linejoin="round"', 1)


def _settings(theme: Theme) -> dict[str, Any]:
    return {
        "font.family": "sans-serif",
        "font.sans-serif": list(FONT_FAMILY),
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.labelsize": 10,
        "axes.labelcolor": theme.quiet,
        "axes.edgecolor": theme.grid,
        "axes.linewidth": 1,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.formatter.limits": (-3, 5),
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 1,
        "text.color": theme.ink,
        "axes.titlecolor": theme.ink,
        "xtick.color": theme.grid,
        "ytick.color": theme.grid,
        "xtick.labelcolor": theme.quiet,
        "ytick.labelcolor": theme.quiet,
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.major.pad": 6,
        "ytick.major.pad": 6,
        "lines.linewidth": 2,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.fontsize": 9.5,
        "legend.handlelength": 1.6,
        "text.parse_math": False,  # a name with a dollar is no formula
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.w_pad": 0.12,
        "figure.constrained_layout.h_pad": 0.1,
    }
