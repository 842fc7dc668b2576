"""Which faults does a model see? A perfect image against one mismatch or defect, by kind and severity.

The standing diagnostic of the synthetic world: it takes seconds and names what a model is blind to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from dina_lrm.evaluation.accuracy import labels
from dina_lrm.evaluation.bootstrap import wilson_interval
from dina_lrm.evaluation.interval import Interval
from dina_lrm.typed import DinaError

SEVERITIES: Final = {"mild": (0.0, 1 / 3), "medium": (1 / 3, 2 / 3), "severe": (2 / 3, 1.0)}
"""Ranges (low, high] of severity that are shown as one row."""
ALL: Final = "all"


@dataclass(frozen=True, eq=False)
class PairGroups:
    """What tells the two images of each pair apart: one kind of mismatch or defect against a perfect image.

    `kind` is "" for pairs that belong to no group; `severity` is in (0, 1], NaN where a kind has none.
    """

    kind: tuple[str, ...]
    severity: Float[np.ndarray, " pairs"]

    def __post_init__(self) -> None:
        if len(self.kind) != len(self.severity):
            raise DinaError(f"groups: {len(self.kind)} kinds and {len(self.severity)} severities; one of each per pair")


@dataclass(frozen=True)
class DiagnosticRow:
    """How often pairs of one kind and severity are ranked right, with Wilson's 95 % interval. A score tie is wrong."""

    kind: str
    severity: str
    accuracy: float
    low: float
    high: float
    pairs: int

    @property
    def interval(self) -> Interval:
        """The accuracy with its interval."""
        return Interval(self.accuracy, self.low, self.high, self.pairs)


def diagnose(
    margins: Float[np.ndarray, " pairs"], preference: Float[np.ndarray, " pairs"], groups: PairGroups
) -> tuple[DiagnosticRow, ...]:
    """One row for each kind over all severities, then one for each severity range where severities differ.

    `preference` decides which image is the better one: give the true probability where it is known, so that the
    annotators' noise does not blur the table. Ties and missing scores are left out. Kinds are sorted by accuracy,
    lowest first.
    """
    kinds = np.array(groups.kind)
    label = labels(preference)
    usable = np.isfinite(margins) & (label != 0)
    right = np.sign(margins) == label
    blocks = []
    for kind in sorted(set(groups.kind) - {""}):
        chosen = usable & (kinds == kind)
        if chosen.any():
            blocks.append((_row(kind, ALL, right[chosen]), *_by_severity(kind, right, chosen, groups.severity)))
    return tuple(row for block in sorted(blocks, key=lambda block: block[0].accuracy) for row in block)


def _by_severity(
    kind: str,
    right: Bool[np.ndarray, " pairs"],
    chosen: Bool[np.ndarray, " pairs"],
    severity: Float[np.ndarray, " pairs"],
) -> Sequence[DiagnosticRow]:
    known = severity[chosen & ~np.isnan(severity)]
    if known.size == 0 or known.min() == known.max():
        return ()
    rows = []
    for name, (low, high) in SEVERITIES.items():
        inside = chosen & (severity > low) & (severity <= high)
        if inside.any():
            rows.append(_row(kind, name, right[inside]))
    return rows


def _row(kind: str, severity: str, right: Bool[np.ndarray, " chosen"]) -> DiagnosticRow:
    low, high = wilson_interval(int(right.sum()), right.size)
    return DiagnosticRow(kind, severity, float(right.mean()), low, high, int(right.size))
