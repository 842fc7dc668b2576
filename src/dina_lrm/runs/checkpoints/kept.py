"""Which checkpoints of a run stay. Read by settings, which know no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Measure = Literal["accuracy", "loss"]
"""What is measured on held-out pairs: higher accuracies are better, and lower losses."""


@dataclass(frozen=True)
class Kept:
    """Which checkpoints stay: the `last` newest, and the `best` by what was measured at their step.

    Higher accuracies and lower losses are better, and of equal ones the earlier. A checkpoint of a step at which
    nothing was measured, or NaN, is none of the best.
    """

    last: int
    best: int = 0
    by: Measure = "accuracy"

    @property
    def told(self) -> str:
        """Which stay, in words."""
        return f"the newest {self.last}" + (f", the best {self.best} by {self.by}" if self.best else "")

    def rank(self, measured: Mapping[str, Any]) -> float | None:
        """Smaller is better; None for what cannot be compared."""
        value = measured.get(self.by)
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return -value if self.by == "accuracy" else value
