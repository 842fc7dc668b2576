"""What a run says while it goes on: running means, and one live line."""

from __future__ import annotations

import time
from collections.abc import Mapping

from dina_lrm.live.line import LiveLine
from dina_lrm.training.totals import PairTotals


class StepLine(LiveLine):
    """How a run goes on, on standard error: steps, loss, accuracy, pairs a second and the time left."""

    def __init__(self, total: int, done: int, shown: bool) -> None:
        super().__init__("training", "pair", quiet=not shown)
        self._total, self._first = total, done

    def __enter__(self) -> StepLine:
        super().__enter__()
        self(self._first, self._total)
        return self

    def advance(self, step: int, values: Mapping[str, float]) -> None:
        """`step` steps are done, with the latest running values."""
        said = f"loss {values['loss']:.4f}  accuracy {values['accuracy']:.3f}"
        self(step, self._total, said, values["pairs_per_second"])


class RunningMeans:
    """Totals over the steps since they were last read: means are taken over pairs, never over batch means."""

    def __init__(self) -> None:
        self._totals = PairTotals()
        self._norms: list[float] = []
        self._clear()

    def add(self, totals: PairTotals, gradient_norm: float) -> None:
        """What one step saw."""
        self._totals += totals
        self._norms.append(gradient_norm)

    def read(self) -> dict[str, float]:
        """The means since the last `clear`; accuracy is NaN when only ties were seen."""
        totals, seconds = self._totals, time.perf_counter() - self._since
        return {
            "loss": totals.mean_loss,
            "accuracy": totals.accuracy,
            "margin": totals.margin / totals.pairs,
            "gradient_norm": sum(self._norms) / len(self._norms),
            "pairs_per_second": totals.pairs / max(seconds, 1e-9),
        }

    def take(self) -> dict[str, float]:
        """`read`, then start anew."""
        values = self.read()
        self._clear()
        return values

    def _clear(self) -> None:
        self._totals = PairTotals()
        self._norms = []
        self._since = time.perf_counter()
