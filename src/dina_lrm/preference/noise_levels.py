r"""Noise levels to train on: t ~ q(t) on [0, 1] (paper, section 4.1), each the image of one uniform number u.

    constant      t*                                       beta          I^-1(u; alpha, beta)
    uniform       low + (high - low) u                     logit-normal  sigmoid(mu + s Phi^-1(u))
    power         u^exponent                               mode          1 - u - s (cos^2(pi u / 2) - 1 + u)

Mode and logit-normal sampling are those of Esser et al. (2024), Eq. 19 and 20.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.typed import from_tagged, require, to_tagged


class NoiseLevelSampler(ABC):
    """A distribution of noise levels."""

    @abstractmethod
    def from_uniform(self, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Map uniform numbers in [0, 1] to noise levels, monotonically: stratified `u` give stratified levels."""

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, " n"]:
        """`n` independent float32 levels in [0, 1] on the generator's device."""
        require(n >= 0, f"{type(self).__name__}.sample: n", n, "an integer of at least 0")
        u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float32)
        # Rounding may leave the interval by one unit in the last place.
        return self.from_uniform(u).clamp(0, 1)

    def to_dict(self) -> dict[str, Any]:
        """Name and fields, ready for JSON."""
        return to_tagged(self, NOISE_LEVEL_SAMPLERS)

    @staticmethod
    def from_dict(values: object, where: str = "noise-level sampler") -> "NoiseLevelSampler":
        """The sampler that `to_dict` described. Raises ValueError as `from_tagged`."""
        return from_tagged(NOISE_LEVEL_SAMPLERS, values, where)


@final
@dataclass(frozen=True)
class Constant(NoiseLevelSampler):
    """Always the same level; 0 trains on clean latents."""

    level: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.level <= 1, "Constant: level", self.level, "a number in [0, 1]")

    def from_uniform(self, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """`level`, whatever u is."""
        return torch.full_like(u, self.level)


@final
@dataclass(frozen=True)
class Uniform(NoiseLevelSampler):
    """Every level between `low` and `high` alike: the paper's default, with 0 and 1."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        require(0 <= self.low <= self.high <= 1, "Uniform: (low, high)", (self.low, self.high), "0 <= low <= high <= 1")

    def from_uniform(self, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """`low + (high - low) u`."""
        return self.low + (self.high - self.low) * u


@final
@dataclass(frozen=True)
class LogitNormal(NoiseLevelSampler):
    """The sigmoid of a normal variable N(mu, s^2): mu > 0 favours noise, mu < 0 clean states."""

    mu: float = 0.0
    s: float = 1.0

    def __post_init__(self) -> None:
        require(math.isfinite(self.mu), "LogitNormal: mu", self.mu, "a finite number")
        require(0 < self.s < math.inf, "LogitNormal: s", self.s, "a finite number above 0")

    def from_uniform(self, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """`sigmoid(mu + s Phi^-1(u))`."""
        return torch.sigmoid(self.mu + self.s * torch.special.ndtri(u))


@final
@dataclass(frozen=True)
class Power(NoiseLevelSampler):
    """`u^exponent`: above 1 favours clean states, below 1 noise."""

    exponent: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.exponent < math.inf, "Power: exponent", self.exponent, "a finite number above 0")

    def from_uniform(self, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """`u^exponent`."""
        return u.pow(self.exponent)


@final
@dataclass(frozen=True)
class Beta(NoiseLevelSampler):
    """The Beta distribution, of mean `alpha / (alpha + beta)`."""

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.alpha < math.inf, "Beta: alpha", self.alpha, "a finite number above 0")
        require(0 < self.beta < math.inf, "Beta: beta", self.beta, "a finite number above 0")

    def from_uniform(self, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Inverse of the regularised incomplete beta function; torch's own sampler takes no generator."""
        from scipy.special import betaincinv

        quantiles = betaincinv(self.alpha, self.beta, u.double().cpu().numpy())
        return torch.as_tensor(quantiles).to(u)


@final
@dataclass(frozen=True)
class Mode(NoiseLevelSampler):
    """A density with its mode at 1/2 for scale > 0, at the ends for scale < 0; 0 is uniform."""

    scale: float = 1.29

    LARGEST = 2 / (math.pi - 2)

    def __post_init__(self) -> None:
        require(-1 <= self.scale <= self.LARGEST, "Mode: scale", self.scale, f"a number in [-1, {self.LARGEST:.4f}]")

    def from_uniform(self, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """`1 - u - scale (cos^2(pi u / 2) - 1 + u)`, which falls from 1 to 0."""
        return 1 - u - self.scale * (torch.cos(math.pi / 2 * u).square() - 1 + u)


@final
@dataclass(frozen=True)
class Timesteps(NoiseLevelSampler):
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

    def from_uniform(self, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The level of timestep number `floor(u n)`."""
        count = int((self.last - self.first) // self.interval) + 1
        number = (u * count).floor().clamp(max=count - 1)
        return (self.first + self.interval * number + 1) / self.total


NOISE_LEVEL_SAMPLERS: Final[dict[str, type[NoiseLevelSampler]]] = {
    "constant": Constant,
    "uniform": Uniform,
    "logit_normal": LogitNormal,
    "power": Power,
    "beta": Beta,
    "mode": Mode,
    "timesteps": Timesteps,
}
"""A new sampler is a class above and a row here."""
