"""The score over noise levels: what the model sees of a picture that is more and more hidden, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from dina_lrm.reports.axes import legend_above
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.theme import ADAPTIVE, Theme
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.studio.why.given import GivenPair, Reading, scores_over_levels

LEVELS: Final = tuple(round(0.05 + 0.1 * number, 2) for number in range(10))


@dataclass(frozen=True, eq=False)
class LevelCurve:
    """Raw scores of a picture at noise levels, one row a draw of noise."""

    levels: tuple[float, ...]
    scores: Float[np.ndarray, "draws levels"]

    @property
    def mean(self) -> Float[np.ndarray, " levels"]:
        """The mean over the draws."""
        return self.scores.mean(axis=0)

    @property
    def deviation(self) -> Float[np.ndarray, " levels"]:
        """The standard deviation over the draws; zero where there is one draw."""
        return self.scores.std(axis=0, ddof=1) if len(self.scores) > 1 else np.zeros(len(self.levels))


def level_curve(
    model: LatentRewardModel,
    pair: GivenPair,
    reading: Reading,
    levels: tuple[float, ...] = LEVELS,
    progress: ReportProgress = lambda done, total: None,
) -> LevelCurve:
    """Score a picture at every level with the draws of a reading; `progress` is told the draws."""
    return LevelCurve(levels, scores_over_levels(model, pair, reading, levels, progress=progress))


def draw_levels(
    curve: LevelCurve, level: float, reference: LevelCurve | None = None, theme: Theme = ADAPTIVE
) -> Figure:
    """The mean over the levels with a band of one standard deviation, each draw pale; dotted: `level`."""
    with drawing(theme):
        figure = Figure(figsize=(4.8, 2.7))
        axes = figure.subplots()
        axes.set_title("Score over noise levels")
        axes.set_xlabel("noise level")
        axes.axvline(level, color=theme.quiet, linestyle=(0, (1.5, 1.5)), linewidth=1.2)
        named = {"this picture": curve} | ({} if reference is None else {"reference": reference})
        for number, (name, one) in enumerate(named.items()):
            colour = theme.colour(number)
            axes.plot(one.levels, one.scores.T, color=colour, alpha=0.2, linewidth=0.8)
            low, high = one.mean - one.deviation, one.mean + one.deviation
            axes.fill_between(one.levels, low, high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(one.levels, one.mean, color=colour, marker="os"[number], markersize=4, label=name)
        if reference is not None:
            legend_above(figure, axes)
        return figure
