"""What a ReFL step costs with each reward, as bars: Figure 4 of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dina_lrm.profiling.jobs import JobCost
from dina_lrm.profiling.measuring import MeasuredRow
from dina_lrm.reports.axes import in_plot
from dina_lrm.reports.drawing import drawing, save_figure
from dina_lrm.reports.theme import LIGHT, Theme
from dina_lrm.typed import DinaError

_REWARD: Final = "ReFL reward, "
_STEP: Final = "ReFL step, "
"""How `profiling` calls jobs of ReFL, before the reward's name."""


@dataclass(frozen=True)
class StepCost:
    """A ReFL step with a reward: FLOPs of reward and step, forward and backward, and the memory of the step."""

    reward: str
    reward_flops: float
    step_flops: float
    step_bytes: float


def step_costs(flops: Mapping[str, float], held: Mapping[str, float]) -> list[StepCost]:
    """The ReFL steps among jobs, by their names: their FLOPs, and the bytes that they hold."""
    rewards = [job.removeprefix(_STEP) for job in flops if job.startswith(_STEP)]
    return [
        StepCost(name, float(flops[_REWARD + name]), float(flops[_STEP + name]), float(held[_STEP + name]))
        for name in rewards
    ]


def draw_counted(path: Path, rows: Sequence[JobCost]) -> None:
    """Draw the ReFL steps among jobs that were counted at one size, into a file."""
    flops = {row.job: row.cost.forward + row.cost.backward for row in rows}
    save_figure(refl_cost(step_costs(flops, {row.job: row.memory_bytes for row in rows})), path)


def draw_measured(path: Path, rows: Sequence[MeasuredRow]) -> None:
    """Draw the ReFL steps among jobs that were measured, those of the largest batch, into a file."""
    last = [row for row in rows if row.batch == max(each.batch for each in rows)]
    flops = {row.job: row.flops for row in last}
    save_figure(refl_cost(step_costs(flops, {row.job: row.peak_bytes for row in last})), path)


def refl_cost(costs: Sequence[StepCost], theme: Theme = LIGHT) -> Figure:
    """FLOPs of the step, the reward's share in front, and its memory; one bar a reward. ValueError without any."""
    if not costs:
        raise DinaError("refl_cost: no ReFL step among the jobs; accepted: one or more")
    flops, flop_unit = _scaled(
        [cost.step_flops for cost in costs], 1000, ("FLOPs", "kFLOPs", "MFLOPs", "GFLOPs", "TFLOPs")
    )
    of_reward = [cost.reward_flops * full / cost.step_flops for cost, full in zip(costs, flops, strict=True)]
    memory, memory_unit = _scaled([cost.step_bytes for cost in costs], 1024, ("B", "KiB", "MiB", "GiB"))
    names = [in_plot(cost.reward) for cost in costs]
    with drawing(theme):
        figure = Figure(figsize=(7.6, 0.9 + 0.42 * len(costs)))
        left, right = figure.subplots(1, 2, sharey=True)
        _bars(left, names, flops, f"{flop_unit} of a ReFL step; dark: of its reward", theme, 0.35)
        left.barh(range(len(names)), of_reward, color=theme.colour(0), height=0.62)
        _bars(right, names, memory, f"{memory_unit} that a ReFL step holds", theme, 1.0)
        left.invert_yaxis()
        for axes in (left, right):
            axes.grid(visible=False)
        return figure


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], label: str, theme: Theme, alpha: float) -> None:
    axes.barh(range(len(names)), values, color=theme.colour(0), alpha=alpha, height=0.62)
    for row, value in enumerate(values):
        axes.annotate(f"{value:.3g}", (value, row), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 1.18 * max(values))
    axes.set_xlabel(label)


def _scaled(values: Sequence[float], base: int, units: Sequence[str]) -> tuple[list[float], str]:
    """The values in the largest unit in which the largest of them is 1 or more."""
    power = 0
    while power + 1 < len(units) and max(values) >= base ** (power + 1):
        power += 1
    return [value / base**power for value in values], units[power]
