"""From cells to numbers: accuracy over seeds with an interval, and differences on the same pairs and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from dina_lrm.evaluation.interval import Interval
from dina_lrm.experiments.ablations.cells import Cell, CellSet, unpacked
from dina_lrm.experiments.ablations.tables import Row
from dina_lrm.experiments.cells import cell_name
from dina_lrm.experiments.estimates import estimate, over_seeds
from dina_lrm.typed import DinaError

SETS = ("in_domain", "unseen_compositions", "unseen_defects", "generated")
MEAN = "mean"


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
    return over_seeds(gains) if gains else None


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
    return over_seeds(found) if found else None


def check_comparable(cells: Mapping[str, Cell]) -> None:
    """Raise ValueError unless all cells had one budget and were measured on the same pairs."""
    for what in ("steps", "prompts"):
        values = {getattr(cell, what): cell.name for cell in cells.values()}
        if len(values) > 1:
            raise DinaError(f"cells differ in their {what}: {values}; give another --out, or remove some")
    for name in SETS:
        hashes = {cell.sets[name].fingerprint: cell.name for cell in cells.values()}
        if len(hashes) > 1:
            raise DinaError(f"cells were measured on different pairs of {name}: {', '.join(hashes.values())}")


def _sets(column: str) -> tuple[str, ...]:
    return SETS if column == MEAN else (column,)


def _right(
    cells: Mapping[str, Cell], row: Row, name: str, seeds: Sequence[int]
) -> tuple[Float[np.ndarray, "seeds pairs"], int]:
    found: list[CellSet] = [cells[cell_name(row.variant, seed)].sets[name] for seed in seeds]
    if row.reading not in found[0].readings:
        known = ", ".join(found[0].readings)
        raise DinaError(f"{row.variant} was not read at {row.reading!r}; its readings: {known}")
    return np.stack([unpacked(s.readings[row.reading].right, s.pairs) for s in found]), found[0].per_prompt
