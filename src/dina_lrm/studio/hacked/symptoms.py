"""Changes of the pictures that over-optimised generators give themselves away by, whatever any judge says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dina_lrm.alignment.monitor.alarm import AlarmSettings
from dina_lrm.evaluation.generators.comparison import MeasureComparison, PairedValues
from dina_lrm.evaluation.interval import Interval

WORDS: Final[Mapping[tuple[str, int], str]] = {
    ("grid_energy", 1): "a regular texture rises",
    ("diversity", -1): "pictures of one prompt become alike",
    ("colour_entropy", -1): "colours become fewer",
    ("edge_strength", 1): "edges become harder",
    ("edge_strength", -1): "pictures become blurred",
}
"""Measure and direction -> the change in words."""


@dataclass(frozen=True)
class Symptom:
    """A measure that moved beyond its error, and by at least `AlarmSettings.least_change` spreads of the base."""

    measure: str
    words: str
    change: Interval
    spreads: float

    def told(self) -> str:
        """The change with its numbers."""
        return f"{self.words} ({self.measure.replace('_', ' ')} {self.change.text('+.3f')}, {self.spreads:.1f} spreads)"


def symptoms(values: Sequence[PairedValues], comparisons: Sequence[MeasureComparison]) -> list[Symptom]:
    """Every symptom, the largest first; a measure whose base does not vary has no spread and is none."""
    least, found = AlarmSettings().least_change, []
    for comparison in comparisons:
        direction = comparison.difference.beyond()
        words = WORDS.get((comparison.name, direction))
        if comparison.kind != "measure" or words is None:
            continue
        base = next(each.base for each in values if each.name == comparison.name)
        known = base[np.isfinite(base)]
        spread = float(known.std()) if known.size else 0.0
        change = comparison.difference.value
        if change is None or spread == 0 or abs(change) < least * spread:
            continue
        found.append(Symptom(comparison.name, words, comparison.difference, abs(change) / spread))
    return sorted(found, key=lambda one: -one.spreads)
