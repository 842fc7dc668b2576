"""Colours of pages and plots that may be read in light or dark; a page without plots needs no more than these.

A theme is a handful of colours. `LIGHT` and `DARK` hold real ones; `ADAPTIVE` holds placeholders that
`drawing.adaptive_svg` turns into CSS variables, so that one drawing follows the reader's colour scheme. The series
colours follow Okabe and Ito's palette, shifted in lightness to keep their contrast on either background; series also
differ in marker and dash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MARKERS: Final = ("o", "s", "D", "^", "v", "P")
DASHES: Final = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (1, 1)))


@dataclass(frozen=True)
class Theme:
    """Colours of a plot: text, quiet text, grid lines, background, and the data series."""

    ink: str
    quiet: str
    grid: str
    paper: str
    series: tuple[str, ...]

    def colour(self, index: int) -> str:
        """Colour of the index-th series; they repeat after the last."""
        return self.series[index % len(self.series)]


LIGHT: Final = Theme(
    ink="#1c2330",
    quiet="#667085",
    grid="#e4e7ec",
    paper="#ffffff",
    series=("#0072b2", "#d55e00", "#009e73", "#a9568c", "#b07d00", "#3d9bd6"),
)
DARK: Final = Theme(
    ink="#e8eaee",
    quiet="#98a1b0",
    grid="#2e3440",
    paper="#15181e",
    series=("#56a9e0", "#f08a4b", "#34c29b", "#d98fbf", "#e0b040", "#8fc7ee"),
)
ADAPTIVE: Final = Theme(
    ink="#00fe01",
    quiet="#00fe02",
    grid="#00fe03",
    paper="#00fe04",
    series=("#00fe11", "#00fe12", "#00fe13", "#00fe14", "#00fe15", "#00fe16"),
)


def css_variables(theme: Theme) -> dict[str, str]:
    """CSS variable name -> colour of that theme; the names `adaptive_svg` writes."""
    series = {f"--series-{i + 1}": colour for i, colour in enumerate(theme.series)}
    return {"--ink": theme.ink, "--quiet": theme.quiet, "--grid": theme.grid, "--paper": theme.paper} | series
