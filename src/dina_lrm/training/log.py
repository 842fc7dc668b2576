"""What a run says while it goes on: running means, and one live line."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Final

from dina_lrm.live.line import LiveLine
from dina_lrm.training.flops import ImageCost
from dina_lrm.training.totals import ScoreTotals

_TOLD_WAIT: Final = 0.03
"""Share of the time spent waiting for data from which on the line tells of it."""


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
        if math.isfinite(values.get("mfu", math.nan)):
            said += f"  MFU {values['mfu']:.0%}"
        if values.get("data_wait", 0.0) >= _TOLD_WAIT:
            said += f"  waits for data {values['data_wait']:.0%}"
        self(step, self._total, said, values["pairs_per_second"])


class RunningMeans:
    """Totals over the steps since they were last read: means are taken over pairs, never over batch means.

    `ceiling` is what the device can do, in FLOPs a second (`flops.matmul_ceiling`); without one there is no MFU.
    Tokens, FLOPs and waiting are those of this process.
    """

    _totals: ScoreTotals | None
    _cost: ImageCost
    _norms: list[float]
    _pairs: float
    _waited: float

    def __init__(self, ceiling: float = math.nan) -> None:
        self._ceiling = ceiling
        self._clear()

    def add(
        self,
        totals: ScoreTotals,
        pairs: float,
        gradient_norm: float,
        cost: ImageCost | None = None,
        waited: float = 0.0,
    ) -> None:
        """What one step saw, what it computed (None: not known), and the seconds that it waited for its inputs."""
        self._totals = totals if self._totals is None else self._totals + totals
        self._pairs += pairs
        self._norms.append(gradient_norm)
        self._cost += ImageCost(math.nan, math.nan) if cost is None else cost
        self._waited += waited

    def read(self) -> dict[str, float]:
        """The means since the last `clear`; accuracy is NaN when only ties were seen."""
        assert self._totals is not None
        totals, seconds = self._totals.whole, max(time.perf_counter() - self._since, 1e-9)
        return {
            "loss": totals.mean_loss,
            "accuracy": totals.accuracy,
            "margin": totals.margin / totals.pairs if totals.pairs else math.nan,
            "gradient_norm": sum(self._norms) / len(self._norms),
            "pairs_per_second": self._pairs / seconds,
            "tokens_per_second": self._cost.tokens / seconds,
            "mfu": self._cost.flops / seconds / self._ceiling,
            "data_wait": self._waited / seconds,
            "seconds_per_step": seconds / len(self._norms),
            **self._totals.told(),
        }

    def take(self) -> dict[str, float]:
        """`read`, then start anew."""
        values = self.read()
        self._clear()
        return values

    def _clear(self) -> None:
        self._totals = None
        self._cost = ImageCost()
        self._norms = []
        self._pairs = 0.0
        self._waited = 0.0
        self._since = time.perf_counter()
