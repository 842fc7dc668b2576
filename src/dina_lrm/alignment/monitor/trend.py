"""The trend of a metric over a window: a straight line by least squares, and how surely it is not flat.

slope b = sum (s - mean s) (y - mean y) / sum (s - mean s)^2, its standard error from the residuals, t = b / error
against Student's distribution with n - 2 degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

LEAST_POINTS: Final = 5
_ROUNDING: Final = 1e-12
"""Share of the metric's size: a metric that moves less than numbers are rounded by does not move."""


@dataclass(frozen=True)
class Trend:
    """Slope a step with its standard error; `change` is what the line gains from the first to the last step."""

    slope: float
    standard_error: float
    change: float
    points: int

    @property
    def t(self) -> float:
        """Slope over its error; infinite where every point lies on a line that is not flat."""
        if self.slope == 0:
            return 0.0
        return self.slope / self.standard_error if self.standard_error > 0 else math.copysign(math.inf, self.slope)

    def rises(self, level: float) -> bool:
        """Whether the slope is above 0 beyond its error; a flat metric with noise says yes with chance `level`."""
        return self.t > _quantile(level, self.points)

    def falls(self, level: float) -> bool:
        """Whether the slope is below 0 beyond its error."""
        return self.t < -_quantile(level, self.points)


def trend(steps: Float[np.ndarray, " records"], values: Float[np.ndarray, " records"]) -> Trend | None:
    """The trend of the finite values, or None where they are fewer than five or fewer than three quarters."""
    known = np.isfinite(values)
    if known.sum() < max(LEAST_POINTS, 0.75 * len(values)):
        return None
    at, value = steps[known], values[known]
    if np.ptp(value) <= _ROUNDING * np.abs(value).max():
        return Trend(0.0, 0.0, 0.0, len(value))
    centred, moved = at - at.mean(), value - value.mean()
    slope = float(centred @ moved / (centred @ centred))
    rest = moved - slope * centred
    error = math.sqrt(float(rest @ rest / (len(value) - 2) / (centred @ centred)))
    return Trend(slope, error, slope * float(at[-1] - at[0]), len(value))


@lru_cache
def _quantile(level: float, points: int) -> float:
    """The t that a flat metric exceeds with chance `level`."""
    return float(stdtrit(points - 2, 1 - level))
