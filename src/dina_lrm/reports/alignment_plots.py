"""How an alignment went: proxy, golden reward and true utility over the steps, measures of the pictures, alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot
from matplotlib.ticker import MaxNLocator
from scipy.special import stdtrit

from dina_lrm.alignment.monitor.alarm import FINDINGS, AlarmSettings, Finding, History, alarms
from dina_lrm.reports.axes import in_plot, legend_above, panels_of
from dina_lrm.reports.blocks import Cell, Figure, Section, Table, Text
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.theme import ADAPTIVE, DASHES, MARKERS, Theme
from dina_lrm.reports.titles import title_of
from dina_lrm.typed import DinaError

Runs = Mapping[str, Sequence[History]]
"""Histories by the name of a run, one for each seed."""

_FIRST: Final = ("proxy", "golden", "utility")
_TITLES: Final = {
    "proxy": "Proxy: what is optimised",
    "golden": "Golden reward: held out",
    "utility": "True utility",
    "edge_strength": "Edge strength",
    "colour_entropy": "Colour entropy, bits",
    "grid_energy": "Grid energy",
    "diversity": "Diversity",
}
_WORDS: Final = ("falls", "stalls", "lags", "rises")
MANY_RUNS: Final = 3
"""More runs than that hide each other behind intervals and alarms."""
_WORD: Final = 0.09
"""Height of a word beside an alarm, as a share of its panel."""


def alignment_curves(runs: Runs, settings: AlarmSettings | None = None, theme: Theme = ADAPTIVE) -> Plot:
    """One panel for each series that was recorded, one line a run, alarms as dotted lines where they first sounded.

    With several seeds the line is their mean at each step, with its 95 % interval by Student's t. Where there are more
    than three runs, intervals and alarms are left out.
    """
    names = _names(runs)
    with drawing(theme):
        figure, panels = panels_of(len(names))
        for name, panel in zip(names, panels, strict=True):
            panel.set_title(_TITLES.get(name, in_plot(title_of(name))))
            panel.set_xlabel("step")
            panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 2.5, 5, 10]))
            panel.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            for index, (run, seeds) in enumerate(runs.items()):
                _curve(panel, seeds, name, run, index, theme, band=len(runs) <= MANY_RUNS)
            if len(runs) > MANY_RUNS:
                continue
            marks = [
                (index, found) for index, seeds in enumerate(runs.values()) for found in _marks(seeds, name, settings)
            ]
            _draw_marks(panel, marks, theme)
        if len(runs) > 1:
            legend_above(figure, panels[0])
        return figure


def alignment_section(runs: Runs, settings: AlarmSettings | None = None, title: str = "Is the gain real?") -> Section:
    """The curves, and every alarm in words."""
    chosen = settings or AlarmSettings()
    rows: list[list[Cell]] = [
        [run, seed, finding.step, finding.sentence]
        for run, seeds in runs.items()
        for seed, history in enumerate(seeds)
        for finding in alarms(history, chosen)
    ]
    several = max(len(seeds) for seeds in runs.values()) > 1
    caption = "Dotted: an alarm sounded first. " + ("Bands: 95 % intervals over seeds. " if several else "")
    alarm = (
        f"An alarm looks at the last {chosen.window} records. It sounds where the proxy rises beyond its error while a "
        "judge that nothing is optimised for does not, or rises far less with it than at first, or the pictures change "
        "as those of over-optimised generators do."
    )
    longest = max(len(history.steps) for seeds in runs.values() for history in seeds)
    silent = "No alarm sounded." if longest >= chosen.window else f"No alarm can sound: there are {longest} records."
    told = Table(["Run", "Seed", "Step", "Alarm"], rows) if rows else Text(silent)
    return Section(title, [Text(alarm), Figure(alignment_curves(runs, chosen), caption.strip()), told])


def _names(runs: Runs) -> list[str]:
    """Series that any run has: proxy, golden reward and truth first."""
    found = dict.fromkeys(name for seeds in runs.values() for history in seeds for name in history.series())
    if not found:
        raise DinaError("alignment_curves: no histories; accepted: at least one run with one seed")
    return [name for name in _FIRST if name in found] + [name for name in found if name not in _FIRST]


def _curve(panel: Axes, seeds: Sequence[History], name: str, run: str, index: int, theme: Theme, band: bool) -> None:
    steps, values = _aligned(seeds, name)
    known = np.isfinite(values)
    counted = known.sum(axis=0)
    shown = counted > 0
    if not shown.any():
        return
    mean = np.where(known, values, 0.0).sum(axis=0)[shown] / counted[shown]
    panel.plot(
        steps[shown],
        mean,
        color=theme.colour(index),
        linestyle=DASHES[index % len(DASHES)],
        marker=MARKERS[index % len(MARKERS)] if shown.sum() < 30 else None,
        markersize=4,
        label=in_plot(run),
    )
    if not band:
        return
    half = _half_width(values[:, shown])
    several = np.isfinite(half)
    at, low, high = steps[shown][several], (mean - half)[several], (mean + half)[several]
    panel.fill_between(at, low, high, color=theme.colour(index), alpha=0.16, linewidth=0)


def _aligned(
    seeds: Sequence[History], name: str
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, "seeds steps"]]:
    """Values of each seed at all steps that any was recorded at, NaN where it was not."""
    steps = np.unique(np.concatenate([history.steps for history in seeds]))
    values = np.full((len(seeds), len(steps)), np.nan)
    for row, history in zip(values, seeds, strict=True):
        series = history.series().get(name)
        if series is not None:
            row[np.searchsorted(steps, history.steps)] = series.values
    return steps, values


def _half_width(values: Float[np.ndarray, "seeds steps"]) -> Float[np.ndarray, " steps"]:
    """Half of the 95 % interval of the mean over the seeds, NaN where there are fewer than two."""
    counted = np.isfinite(values).sum(axis=0)
    half = np.full(values.shape[1], np.nan)
    several = counted > 1
    number = counted[several]
    half[several] = stdtrit(number - 1, 0.975) * np.nanstd(values[:, several], axis=0, ddof=1) / np.sqrt(number)
    return half


def _marks(seeds: Sequence[History], name: str, settings: AlarmSettings | None) -> list[tuple[int, str]]:
    """(step, word) of the first alarm of each kind that this series gives away, with how many seeds heard it."""
    heard: dict[str, list[Finding]] = {}
    for history in seeds:
        first: dict[str, Finding] = {}
        for finding in alarms(history, settings):
            if FINDINGS[finding.kind] == name:
                first.setdefault(_word(finding.kind), finding)
        for word, finding in first.items():
            heard.setdefault(word, []).append(finding)
    of = "" if len(seeds) == 1 else f" in {{}} of {len(seeds)}"
    return [(min(f.step for f in found), word + of.format(len(found))) for word, found in heard.items()]


def _word(kind: str) -> str:
    return next(word for word in kind.split() if word in _WORDS)


def _draw_marks(panel: Axes, marks: Sequence[tuple[int, tuple[int, str]]], theme: Theme) -> None:
    """Dotted lines, each with its word below the curves, one above the other."""
    if not marks:
        return
    left, right = panel.get_xlim()
    low, high = panel.get_ylim()
    foot = _WORD * len(marks)
    panel.set_ylim(low - (high - low) * foot / (1 - foot), high)
    for height, (index, (step, word)) in enumerate(marks):
        panel.axvline(step, color=theme.colour(index), linestyle=DASHES[2], linewidth=1.4)
        late = step > (left + right) / 2
        panel.annotate(
            in_plot(word),
            (step, 0.02 + _WORD * height),
            (-4 if late else 4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if late else "left",
            color=theme.colour(index),
            fontsize=9,
            bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 0.8},
        )
