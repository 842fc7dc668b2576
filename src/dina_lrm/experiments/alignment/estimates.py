"""From cells of the alignment study to numbers: gains with intervals, and the compute that reaches one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from jaxtyping import Float

from dina_lrm.evaluation.interval import Interval
from dina_lrm.experiments.alignment.cells import AlignedCell
from dina_lrm.experiments.alignment.costs import AlignmentCost
from dina_lrm.experiments.alignment.studies import AlignmentStudy
from dina_lrm.experiments.cells import cell_name
from dina_lrm.experiments.estimates import estimate
from dina_lrm.typed import DinaError

Cells = Mapping[str, AlignedCell]
Chosen = Callable[[AlignedCell], int]
"""Which look of a run is meant."""
_DRAWS: Final = 2_000


def gain(cells: Cells, variant: str, value: str = "utility", look: int | Chosen = -1) -> Interval | None:
    """A true value of a look above that of the first look, on the same prompts and seeds; None without a cell."""
    own = of_variant(cells, variant)
    rows = [_gains(cell, value, look if isinstance(look, int) else look(cell)) for cell in own]
    return estimate([(np.stack(rows), 1)]) if rows else None


def gain_difference(cells: Cells, variant: str, other: str, value: str = "utility") -> Interval | None:
    """The gain of a variant above another's, over the seeds that both have; None without one."""
    pairs = [
        (cell, cells[cell_name(other, cell.seed)])
        for cell in of_variant(cells, variant)
        if cell_name(other, cell.seed) in cells
    ]
    if not pairs:
        return None
    return estimate([(np.stack([_gains(one, value, -1) - _gains(two, value, -1) for one, two in pairs]), 1)])


def gain_at(cells: Cells, variant: str, flops: float, cost: AlignmentCost, value: str = "utility") -> Interval | None:
    """A true value above that of the first look when so many FLOPs are spent; None without a cell.

    Linear between the looks, picture by picture; of a run that ends before, its last look. Before the first update is
    done, with what is drawn for it, nothing is gained.
    """
    own = of_variant(cells, variant)
    rows = [_gains_at(cell, value, flops, cost) for cell in own]
    return estimate([(np.stack(rows), 1)]) if rows else None


def gain_difference_at(
    cells: Cells, variants: tuple[str, str], flops: float, costs: Mapping[str, AlignmentCost]
) -> Interval | None:
    """The gain of the first variant above the second's when so many FLOPs are spent, over the seeds that both have."""
    one, two = variants
    seeds = [cell.seed for cell in of_variant(cells, one) if cell_name(two, cell.seed) in cells]
    if not seeds:
        return None
    at = [
        [_gains_at(cells[cell_name(name, seed)], "utility", flops, costs[name]) for name in variants] for seed in seeds
    ]
    return estimate([(np.stack([ahead - behind for ahead, behind in at]), 1)])


def spent_by(variant: str, cells: Cells, costs: Mapping[str, AlignmentCost]) -> float | None:
    """FLOPs of a whole run; None where it has no cell or was not counted."""
    own = of_variant(cells, variant)
    return costs[variant].after(own[0].steps()[-1]) if own and variant in costs else None


def of_variant(cells: Cells, variant: str) -> list[AlignedCell]:
    """Its cells in the order of their seeds."""
    return sorted((cell for cell in cells.values() if cell.variant == variant), key=lambda cell: cell.seed)


def present(study: AlignmentStudy, cells: Cells) -> list[str]:
    """The runs of a study that have cells, in its order."""
    return [name for name in study.variants if of_variant(cells, name)]


def check_comparable(cells: Cells) -> None:
    """Raise ValueError unless all cells were looked at with as many prompts."""
    pictures = {len(cell.values("utility", 0)): cell.name for cell in cells.values()}
    if len(pictures) > 1:
        raise DinaError(f"cells were looked at with different prompts: {pictures}; give another --out")


def compute_to_reach(cells: Cells, variant: str, target: float, cost: AlignmentCost) -> float | None:
    """FLOPs after which the mean gain of true utility first is `target`, linear between looks; None if never."""
    own = of_variant(cells, variant)
    means = _curves(cells, variant).mean(axis=(0, 2))
    return _first_at([cost.after(step) for step in own[0].steps()], means, target)


def compute_ratio(cells: Cells, variant: str, other: str, costs: Mapping[str, AlignmentCost]) -> Interval | None:
    """FLOPs that `other` takes to its own final mean gain over those that `variant` takes to it.

    The interval is a percentile bootstrap that draws prompts, common to both, and seeds; a draw in which the variant
    never reaches the gain counts as no saving at all, 0. None where the final gain is not above 0, or never reached.
    """
    curves = {name: _curves(cells, name) for name in (variant, other)}
    spent = {
        name: [costs[name].after(step) for step in of_variant(cells, name)[0].steps()] for name in (variant, other)
    }

    def ratio(means: Mapping[str, Float[np.ndarray, " looks"]]) -> float | None:
        target = float(means[other][-1])
        if target <= 0:
            return None
        reached = _first_at(spent[variant], means[variant], target)
        own = _first_at(spent[other], means[other], target)
        return own / reached if reached and own else 0.0

    found = ratio({name: rows.mean(axis=(0, 2)) for name, rows in curves.items()})
    if not found:
        return None
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(_DRAWS):
        prompts = rng.integers(0, curves[other].shape[2], curves[other].shape[2])
        means = {}
        for name, rows in curves.items():
            seeds = rng.integers(0, len(rows), len(rows))
            means[name] = rows[seeds][:, :, prompts].mean(axis=(0, 2))
        value = ratio(means)
        if value is not None:
            drawn.append(value)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(found, float(low), float(high), len(curves[variant]))


def _curves(cells: Cells, variant: str) -> Float[np.ndarray, "seeds looks pictures"]:
    own = of_variant(cells, variant)
    return np.stack([np.stack([_gains(cell, "utility", look) for look in range(len(cell.records))]) for cell in own])


def _first_at(spent: list[float], means: Float[np.ndarray, " looks"], target: float) -> float | None:
    before = (0.0, 0.0)
    for flops, mean in zip(spent, means.tolist(), strict=True):
        if mean >= target:
            share = 0.0 if mean == before[1] else (target - before[1]) / (mean - before[1])
            return before[0] + share * (flops - before[0])
        before = (flops, mean)
    return None


def _gains(cell: AlignedCell, value: str, look: int) -> Float[np.ndarray, " pictures"]:
    return cell.values(value, look) - cell.values(value, 0)


def _gains_at(cell: AlignedCell, value: str, flops: float, cost: AlignmentCost) -> Float[np.ndarray, " pictures"]:
    spent = np.array([cost.after(step) for step in cell.steps()])
    after = int(np.searchsorted(spent, flops))
    if flops < cost.first or after == 0:
        return _gains(cell, value, 0)
    if after == len(spent):
        return _gains(cell, value, -1)
    share = (flops - spent[after - 1]) / (spent[after] - spent[after - 1])
    return (1 - share) * _gains(cell, value, after - 1) + share * _gains(cell, value, after)
