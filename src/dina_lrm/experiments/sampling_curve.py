"""Best-of-N over N, pruned and not: what the reward says, what the samples are truly worth, and what they cost.

All rows are read off the same pools. The candidates of a prompt, of all seeds together, are cut into as many groups of
N as there are; a row is the mean over groups and prompts. Intervals are bootstrapped over prompts, differences on the
same groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dina_lrm.evaluation.bootstrap import interval_of_mean
from dina_lrm.evaluation.interval import Interval, renamed
from dina_lrm.experiments.page import MarkdownTable
from dina_lrm.experiments.sampling_pools import Pool, Replayed, replay
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.theme import DASHES, LIGHT, MARKERS, Theme
from dina_lrm.sampling.ledger import Evaluations, UnitFlops
from dina_lrm.sampling.pruning import Cut, Pruning, StepReading
from dina_lrm.typed import DinaError, to_plain

PLAIN = "best-of-N"


@dataclass(frozen=True)
class Schedule:
    """Cuts by shares: after `step` steps the best `keep` of N stay, rounded up."""

    name: str
    reading: StepReading
    cuts: tuple[tuple[int, float], ...]
    """(step, share of N)."""

    def of(self, n: int) -> Pruning:
        """The cuts for N candidates."""
        return Pruning(tuple(Cut(step, max(1, int(np.ceil(share * n)))) for step, share in self.cuts), self.reading)


@dataclass(frozen=True)
class CurvePoint:
    """One method at one N."""

    method: str
    n: int
    groups: int
    """Groups of candidates a prompt."""
    proxy: Interval
    utility: Interval
    gain: Interval
    """True utility above a single sample of the same groups."""
    lost: Interval | None
    """True utility below plain best-of-N of the same groups; None for itself."""
    gflops: float
    """A chosen sample."""
    share: float
    """Share of the FLOPs of plain best-of-N, 0 to 1."""


def best_of_n_curve(
    pools: Sequence[Pool], ns: Sequence[int], schedules: Sequence[Schedule], units: UnitFlops
) -> list[CurvePoint]:
    """Plain best-of-N at each N, and each schedule wherever N is at least 4.

    Raises:
        ValueError: for pools of other prompts or steps, or fewer candidates in all than the largest N.
    """
    pool = joined(pools)
    if max(ns) > pool.plan.n:
        raise DinaError(f"N is {max(ns)}; accepted: at most {pool.plan.n}, the candidates of a prompt in all pools")
    points = []
    for n in ns:
        plain = _rows(pool, n, None)
        points.append(_point(PLAIN, n, pool, plain, plain, units))
        points += [
            _point(schedule.name, n, pool, _rows(pool, n, schedule.of(n)), plain, units)
            for schedule in schedules
            if n >= 4
        ]
    return points


def joined(pools: Sequence[Pool]) -> Pool:
    """The candidates of several seeds as one pool."""
    if len({(pool.prompts, pool.plan.steps, tuple(pool.steps), pool.guided) for pool in pools}) != 1:
        raise DinaError("pools differ in prompts, steps, scored steps or guidance; accepted: pools of one study")
    first = pools[0]
    tables = {name: np.concatenate([pool.steps[name] for pool in pools], axis=1) for name in first.steps}
    final, utility = (np.concatenate([getattr(pool, name) for pool in pools], axis=1) for name in ("final", "utility"))
    n = final.shape[1]
    plan = type(first.plan)(n, first.plan.steps, first.plan.seed, first.plan.batch_size)
    return Pool(plan, first.prompts, final, utility, tables, first.guided)


def stored_points(points: Sequence[CurvePoint]) -> list[dict[str, Any]]:
    """Points as plain values for JSON."""
    plain: list[dict[str, Any]] = renamed(to_plain(points), {"value": "mean"})
    return plain


def curve_table(points: Sequence[CurvePoint]) -> str:
    """Write the points as a table in Markdown."""
    heads = "method", "N", "reward", "true utility", "above one sample", "below best-of-N", "GFLOPs", "of best-of-N's"
    rows = []
    for p in points:
        told = ["" if each is None else each.text("+.3f") for each in (p.utility, p.gain, p.lost)]
        rows.append([p.method, str(p.n), p.proxy.middle(), *told, f"{p.gflops:.1f}", f"{100 * p.share:.0f} %"])
    return str(MarkdownTable(heads, rows))


def curve_plot(points: Sequence[CurvePoint], theme: Theme = LIGHT) -> Figure:
    """Reward and true utility over compute, one line a method, every point with its interval."""
    with drawing(theme):
        figure = Figure(figsize=(8.4, 3.4))
        panels = figure.subplots(1, 2)
        for panel, (name, title) in zip(panels, (("proxy", "Reward"), ("utility", "True utility")), strict=True):
            for index, method in enumerate(dict.fromkeys(point.method for point in points)):
                own = [point for point in points if point.method == method]
                found: list[Interval] = [getattr(point, name) for point in own]
                value, low, high = np.array([each.span for each in found]).T
                panel.errorbar(
                    [point.gflops for point in own],
                    value,
                    np.abs([low - value, high - value]),
                    color=theme.colour(index),
                    linestyle=DASHES[index % len(DASHES)],
                    marker=MARKERS[index % len(MARKERS)],
                    markersize=4,
                    label=method,
                )
            panel.set_title(title)
            panel.set_xscale("log", base=2)
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            panel.set_xlabel("GFLOPs a chosen sample")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=len(names))
        return figure


def _rows(pool: Pool, n: int, pruning: Pruning | None) -> list[list[Replayed]]:
    """Return what is chosen in each group of each prompt."""
    groups = [range(start, start + n) for start in range(0, pool.plan.n - n + 1, n)]
    return [[replay(pool, row, group, pruning) for group in groups] for row in range(len(pool.prompts))]


def _point(
    method: str,
    n: int,
    pool: Pool,
    found: Sequence[Sequence[Replayed]],
    plain: Sequence[Sequence[Replayed]],
    units: UnitFlops,
) -> CurvePoint:
    groups = len(found[0])
    single = pool.utility[:, : groups * n].mean(axis=1)
    utility, best = _taken(pool.utility, found), _taken(pool.utility, plain)
    flops, most = (units.total(_spent(side)) / len(pool.prompts) / groups for side in (found, plain))
    lost = None if found is plain else interval_of_mean(best - utility)
    proxy, gain = interval_of_mean(_taken(pool.final, found)), interval_of_mean(utility - single)
    return CurvePoint(method, n, groups, proxy, interval_of_mean(utility), gain, lost, flops / 1e9, flops / most)


def _taken(
    values: Float[np.ndarray, "prompts candidates"], found: Sequence[Sequence[Replayed]]
) -> Float[np.ndarray, " prompts"]:
    """Mean over the groups of what was chosen."""
    return np.array([np.mean([values[row, one.chosen] for one in own]) for row, own in enumerate(found)])


def _spent(found: Sequence[Sequence[Replayed]]) -> Evaluations:
    """On all groups; decoding the chosen samples is counted too."""
    return Evaluations.sum(one.spent + Evaluations(decoder=1) for own in found for one in own)
