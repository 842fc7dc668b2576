"""What the golden reward gains for each unit that the proxy gains: at first, and now.

A proxy that is over-optimised goes on rising, and what is held out rises ever less with it, long before it falls: over
the square root of the KL, gold is a concave curve beside an ever rising proxy (Gao et al., "Scaling laws for reward
model overoptimization", arXiv 2210.10760). The golden reward g over the proxy p is fitted by a parabola,

    g = a + b p + c p^2        pace(p) = b + 2 c p

by least squares over all records. The pace has dropped below a share of the first one where
pace(last p) - share pace(first p) is below 0 beyond its error, by Student's t with n - 3 degrees of freedom. Scale and
shift of either change nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from dina_lrm.alignment.monitor.trend import LEAST_POINTS

_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class Pace:
    """Golden reward a unit of proxy at the first record and at the last, and how far the drop to `share` is proven.

    `t` is (last - share first) over its error. `turned` is the proxy at which the pace was `share` of the first, None
    where it never is.
    """

    first: float
    last: float
    t: float
    points: int
    turned: float | None

    def dropped(self, level: float) -> bool:
        """Whether the pace was upwards and is below its share, beyond its error at a one-sided `level`."""
        return bool(self.first > 0 and self.t < stdtrit(self.points - 3, level))


def pace(proxy: Float[np.ndarray, " records"], golden: Float[np.ndarray, " records"], share: float) -> Pace | None:
    """The pace of the finite records; None where fewer than five are, or the proxy takes fewer than three values."""
    known = np.isfinite(proxy) & np.isfinite(golden)
    if known.sum() < LEAST_POINTS:
        return None
    p, g = proxy[known], golden[known]
    width = float(np.ptp(p))
    if width <= _ROUNDING * np.abs(p).max() or len(np.unique(p)) < 3:
        return None
    # From the first record on, in units of the range: a fit that is well conditioned
    x = (p - p[0]) / width
    design = np.stack([np.ones_like(x), x, x * x], axis=1)
    coefficients, *_ = np.linalg.lstsq(design, g - g.mean(), rcond=None)
    _, slope, bend = coefficients
    contrast = np.array([0.0, 1.0 - share, 2.0 * x[-1]])
    drop = float(contrast @ coefficients)
    rest = g - g.mean() - design @ coefficients
    variance = float(rest @ rest) / (len(x) - 3) * float(contrast @ np.linalg.inv(design.T @ design) @ contrast)
    error = max(math.sqrt(variance), _ROUNDING * float(np.abs(g).max()))
    at = -(1.0 - share) * slope / (2.0 * bend) if bend < 0 < slope else None
    return Pace(
        first=float(slope) / width,
        last=float(slope + 2.0 * bend * x[-1]) / width,
        t=drop / error if error > 0 else math.copysign(math.inf, drop) if drop else 0.0,
        points=len(x),
        turned=None if at is None else float(p[0] + at * width),
    )
