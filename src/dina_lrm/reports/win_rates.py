"""Whether the win rates that a run learned from are calibrated: how sure and how often right over the looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure as Plot
from matplotlib.ticker import MaxNLocator

from dina_lrm.alignment.monitor.pair_calibration import TRUTH, calibration_sentence, overconfidence
from dina_lrm.alignment.monitor.records import PairCalibration, Record
from dina_lrm.reports.axes import in_plot, label_rows, legend_above, line_with_band, panels_of, percent_axis
from dina_lrm.reports.blocks import Cell, Figure, Section, Share, Table, Text
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.theme import ADAPTIVE, Theme
from dina_lrm.screen import interval_text

_NAME: Final = "the optimised reward"


def win_rate_section(records: Sequence[Record]) -> Section | None:
    """The verdict on the last look, the curves, and the numbers of the first and the last; None where nothing was
    compared, as in runs that do not learn from win rates.
    """
    told = [record for record in records if record.win_rates]
    if not told:
        return None
    first, last = told[0], told[-1]
    reward = next(reversed(last.win_rates))
    name = _NAME if reward == last.proxy else reward
    verdicts = [calibration_sentence(name, judge, found) for judge, found in last.win_rates[reward].items()]
    blocks: list[Text | Figure | Table] = [Text(f"Step {last.step:,}. {' '.join(verdicts)}")]
    if any(found.pairs for found in last.win_rates[reward].values()):
        caption = "The preferred image of each pair of a prompt: its P(win), and how often it won. Bands: 95 %."
        blocks.append(Figure(win_rate_curves(told), caption))
    rows = [row for record in ([first, last] if last is not first else [last]) for row in _rows(record)]
    numbers = ["Sure, %", "Right, %", "Sure - right, points", "ECE, %", "Perfect, %", "Pairs", "Left out"]
    heads = ["Step", "Reward", "Judge", *numbers]
    note = (
        "A run that learns from win rates is as good as they are calibrated. ECE is biased upwards: winners drawn from "
        "the reward's own probabilities would show the value beside it. Where a judge errs by chance, a calibrated "
        f"reward looks too sure; {TRUTH} tells true probabilities."
    )
    return Section("Are the win rates calibrated?", [*blocks, Table(heads, rows, note=note)])


def win_rate_curves(records: Sequence[Record], theme: Theme = ADAPTIVE) -> Plot:
    """One panel a judge: how sure what is learned from was of the image it preferred, and how often that was right."""
    reward = next(reversed(records[-1].win_rates))
    with drawing(theme):
        found = {judge: _over_steps(records, reward, judge) for judge in records[-1].win_rates[reward]}
        shown = {judge: looks for judge, looks in found.items() if looks}
        figure, panels = panels_of(len(shown), sharey=True)
        for (judge, looks), panel in zip(shown.items(), panels, strict=True):
            steps = [step for step, _ in looks]
            sure = [(each.confidence or 0.0,) * 3 for _, each in looks]
            line_with_band(panel, steps, sure, "sure: P(win)", 0, theme, band=False)
            line_with_band(panel, steps, [_right(each) for _, each in looks], "right: how often it won", 1, theme)
            panel.axhline(0.5, color=theme.quiet, linewidth=1.0)
            panel.set_title(in_plot(f"Winner by {judge}"))
            panel.set_xlabel("step")
            panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 2.5, 5, 10]))
            percent_axis(panel)
        label_rows(panels, "preferred image wins")
        legend_above(figure, panels[0])
        return figure


def _over_steps(records: Sequence[Record], reward: str, judge: str) -> list[tuple[int, PairCalibration]]:
    """The looks at which the judge told winners."""
    found = [(record.step, record.win_rates.get(reward, {}).get(judge)) for record in records]
    return [(step, each) for step, each in found if each is not None and each.pairs]


def _right(found: PairCalibration) -> tuple[float, float, float]:
    """How often it was right; the band is that of sure - right, NaN where it needs more prompts."""
    right, gap = found.right or 0.0, overconfidence(found)
    half = np.nan if gap is None or gap[1] is None else gap[1]
    return right, right - half, right + half


def _rows(record: Record) -> list[list[Cell]]:
    return [
        [
            record.step,
            _NAME if reward == record.proxy else reward,
            judge,
            _share(found.confidence),
            _share(found.right),
            _points(found),
            _share(found.ece),
            _share(found.ece_floor),
            found.pairs,
            found.left_out,
        ]
        for reward, judges in record.win_rates.items()
        for judge, found in judges.items()
    ]


def _share(value: float | None) -> Cell:
    return None if value is None else Share(value)


def _points(found: PairCalibration) -> Cell:
    gap = overconfidence(found)
    if gap is None:
        return None
    surer, half = gap
    low, high = (None, None) if half is None else (100 * (surer - half), 100 * (surer + half))
    return interval_text(100 * surer, low, high, "+.0f")
