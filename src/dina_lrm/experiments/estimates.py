r"""From cells to numbers: accuracy over seeds with an interval, and differences on the same pairs and seeds.

Two things vary: which pairs are in a test set, and which seed a model was trained with. With x_{si} = 1 where seed s
ranks pair i right, and pairs of one prompt drawn together,

    var = var_prompts(mean_s x_{si}) + s^2 / n,      s^2 the variance of the seeds' accuracies, n their number

and the interval is t-distributed with Satterthwaite's degrees of freedom. A difference is the same with
x_{si} = right_{si} - right'_{si}: whatever both models share cancels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

from dina_lrm.evaluation.interval import Interval, renamed
from dina_lrm.experiments.cells import Cell, CellSet, cell_name, unpacked
from dina_lrm.recipes.ablations import Row

SETS = ("in_domain", "unseen_compositions", "unseen_defects", "generated")
MEAN = "mean"


def verdict_of(found: Interval) -> str:
    """What a mean over seeds says about a claim; one seed says nothing, since seeds differ too."""
    if found.n < 2:
        return "one seed only"
    return {1: "holds", -1: "does not hold", 0: "not decided"}[found.beyond()]


def written(found: Interval, form: str, percent: bool = False) -> str:
    """A mean over seeds with its interval; what has none for being of one seed stands alone: prompts would not help."""
    return found.middle(form, percent) if found.low is None else found.text(form, percent)


def as_stored(found: Interval) -> dict[str, Any]:
    """A mean over seeds as the files of results have it."""
    stored: dict[str, Any] = renamed(asdict(found), {"n": "seeds", "missing": None})
    return stored


def accuracy(cells: Mapping[str, Cell], row: Row, column: str, seeds: Sequence[int]) -> Interval | None:
    """Accuracy of a table's row on a set, or its mean over the four sets; None where no seed was trained."""
    present = [seed for seed in seeds if cell_name(row.variant, seed) in cells]
    return estimate([_right(cells, row, name, present) for name in _sets(column)]) if present else None


def difference(cells: Mapping[str, Cell], row: Row, other: Row, column: str, seeds: Sequence[int]) -> Interval | None:
    """Accuracy of `row` minus that of `other`, over the seeds that both were trained with; None without one."""
    names = [(cell_name(row.variant, seed), cell_name(other.variant, seed)) for seed in seeds]
    both = [seed for seed, (a, b) in zip(seeds, names, strict=True) if a in cells and b in cells]
    if not both:
        return None
    parts = []
    for name in _sets(column):
        (first, per_prompt), (second, _) = (_right(cells, chosen, name, both) for chosen in (row, other))
        parts.append((first - second, per_prompt))
    return estimate(parts)


def calibration_gain(cells: Mapping[str, Cell], row: Row, other: Row, seeds: Sequence[int]) -> Interval | None:
    """Calibration error of `other` minus that of `row`, in domain, over the seeds of both; the interval is of seeds."""
    pairs = [[measure(cells, one, "in_domain", "ece", [seed]) for one in (other, row)] for seed in seeds]
    gains = [more - less for more, less in pairs if more is not None and less is not None]
    return _over_seeds(gains) if gains else None


def measure(cells: Mapping[str, Cell], row: Row, name: str, measure: str, seeds: Sequence[int]) -> float | None:
    """Mean over seeds of another measure of a reading, such as "ece"; None where no seed was trained."""
    found = [
        getattr(cells[cell].sets[name].readings[row.reading], measure)
        for cell in (cell_name(row.variant, seed) for seed in seeds)
        if cell in cells
    ]
    return float(np.mean(found)) if found else None


def uncertainty(
    cells: Mapping[str, Cell], variant: str, level: float, measure: str, seeds: Sequence[int]
) -> Interval | None:
    """A measure of Table 4 at a noise level, such as "vr_common"; the interval is that of seeds alone."""
    found = [
        getattr(row, measure)
        for cell in (cell_name(variant, seed) for seed in seeds)
        if cell in cells
        for row in cells[cell].uncertainty
        if row.level == level
    ]
    return _over_seeds(found) if found else None


def check_comparable(cells: Mapping[str, Cell]) -> None:
    """Raise ValueError unless all cells had one budget and were measured on the same pairs."""
    for what in ("steps", "prompts"):
        values = {getattr(cell, what): cell.name for cell in cells.values()}
        if len(values) > 1:
            raise ValueError(f"cells differ in their {what}: {values}; give another --out, or remove some")
    for name in SETS:
        hashes = {cell.sets[name].fingerprint: cell.name for cell in cells.values()}
        if len(hashes) > 1:
            raise ValueError(f"cells were measured on different pairs of {name}: {', '.join(hashes.values())}")


def _sets(column: str) -> tuple[str, ...]:
    return SETS if column == MEAN else (column,)


def _right(
    cells: Mapping[str, Cell], row: Row, name: str, seeds: Sequence[int]
) -> tuple[Float[np.ndarray, "seeds pairs"], int]:
    found: list[CellSet] = [cells[cell_name(row.variant, seed)].sets[name] for seed in seeds]
    if row.reading not in found[0].readings:
        known = ", ".join(found[0].readings)
        raise ValueError(f"{row.variant} was not read at {row.reading!r}; its readings: {known}")
    return np.stack([unpacked(s.readings[row.reading].right, s.pairs) for s in found]), found[0].per_prompt


def estimate(parts: Sequence[tuple[Float[np.ndarray, "seeds pairs"], int]]) -> Interval:
    """The mean over sets, each with how many of its columns are of one prompt, and over seeds, with its interval."""
    seeds = len(parts[0][0])
    by_seed = np.mean([x.mean(axis=1) for x, _ in parts], axis=0)
    prompts = sum(_prompt_variance(x.mean(axis=0), per_prompt) for x, per_prompt in parts) / len(parts) ** 2
    trained = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    value, variance = float(by_seed.mean()), prompts + trained
    freedom = math.inf if trained == 0 else variance**2 / (trained**2 / (seeds - 1))
    half = float(student.ppf(0.975, freedom)) * math.sqrt(variance)
    return Interval(value, value - half, value + half, seeds)


def _over_seeds(found: Sequence[float]) -> Interval:
    """The mean of one number a seed, with the interval of seeds alone; one seed has none."""
    value, freedom = float(np.mean(found)), len(found) - 1
    if freedom == 0:
        return Interval(value, None, None, 1)
    half = float(student.ppf(0.975, freedom) * np.std(found, ddof=1) / math.sqrt(len(found)))
    return Interval(value, value - half, value + half, len(found))


def _prompt_variance(x: Float[np.ndarray, " pairs"], per_prompt: int) -> float:
    """Variance of the mean of x when prompts, each with its pairs, are drawn."""
    prompt = np.arange(x.size) // per_prompt
    sums = np.bincount(prompt, weights=x - x.mean())
    clusters = sums.size
    return float((sums**2).sum()) / x.size**2 * clusters / max(clusters - 1, 1)
