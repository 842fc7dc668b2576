"""Distributions of noise levels in [0, 1], as plain values (paper, section 4.1). Nothing here imports torch.

Mode and logit-normal sampling are those of Esser et al. (2024), Eq. 19 and 20.
"""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from dina_lrm.typed import require


@final
@dataclass(frozen=True)
class Constant:
    """Always the same level; 0 trains on clean latents."""

    level: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.level <= 1, "Constant: level", self.level, "a number in [0, 1]")


@final
@dataclass(frozen=True)
class Uniform:
    """Every level between `low` and `high` alike: the paper's default, with 0 and 1."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        require(0 <= self.low <= self.high <= 1, "Uniform: (low, high)", (self.low, self.high), "0 <= low <= high <= 1")


@final
@dataclass(frozen=True)
class LogitNormal:
    """The sigmoid of a normal variable N(mu, s^2): mu > 0 favours noise, mu < 0 clean states."""

    mu: float = 0.0
    s: float = 1.0

    def __post_init__(self) -> None:
        require(math.isfinite(self.mu), "LogitNormal: mu", self.mu, "a finite number")
        require(0 < self.s < math.inf, "LogitNormal: s", self.s, "a finite number above 0")


@final
@dataclass(frozen=True)
class Power:
    """`u^exponent`: above 1 favours clean states, below 1 noise."""

    exponent: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.exponent < math.inf, "Power: exponent", self.exponent, "a finite number above 0")


@final
@dataclass(frozen=True)
class Beta:
    """The Beta distribution, of mean `alpha / (alpha + beta)`."""

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.alpha < math.inf, "Beta: alpha", self.alpha, "a finite number above 0")
        require(0 < self.beta < math.inf, "Beta: beta", self.beta, "a finite number above 0")


@final
@dataclass(frozen=True)
class Mode:
    """A density with its mode at 1/2 for scale > 0, at the ends for scale < 0; 0 is uniform."""

    scale: float = 1.29

    LARGEST = 2 / (math.pi - 2)

    def __post_init__(self) -> None:
        require(-1 <= self.scale <= self.LARGEST, "Mode: scale", self.scale, f"a number in [-1, {self.LARGEST:.4f}]")


@final
@dataclass(frozen=True)
class Timesteps:
    """Whole timesteps of a model with `total` of them, `first` to `last` by `interval`, all alike: LRM's 1, 51 .. 951.

    Timestep i is noise level (i + 1) / total, as in a variance-preserving process.
    """

    first: float = 1.0
    last: float = 951.0
    interval: float = 50.0
    total: float = 1000.0

    def __post_init__(self) -> None:
        given = (self.first, self.last, self.interval, self.total)
        require(all(float(value).is_integer() for value in given), "Timesteps", given, "whole numbers")
        ordered = 0 <= self.first <= self.last < self.total and self.interval >= 1
        require(ordered, "Timesteps: (first, last, interval, total)", given, "0 <= first <= last < total, interval > 0")


LevelDistribution: TypeAlias = Constant | Uniform | LogitNormal | Power | Beta | Mode | Timesteps

LEVEL_DISTRIBUTIONS: Final[dict[str, type[LevelDistribution]]] = {
    "constant": Constant,
    "uniform": Uniform,
    "logit_normal": LogitNormal,
    "power": Power,
    "beta": Beta,
    "mode": Mode,
    "timesteps": Timesteps,
}
"""A new distribution is a class above, a row here and a case of `NoiseLevelSampler.from_uniform`."""
