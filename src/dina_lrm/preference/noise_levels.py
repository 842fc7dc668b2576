r"""Noise levels drawn from a distribution on [0, 1] (paper, section 4.1), each the image of one uniform number u.

constant      t*                                       beta          I^-1(u; alpha, beta)
uniform       low + (high - low) u                     logit-normal  sigmoid(mu + s Phi^-1(u))
power         u^exponent                               mode          1 - u - s (cos^2(pi u / 2) - 1 + u)
timesteps     that of number floor(u n) of n
"""

import math
from dataclasses import dataclass, field
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.preference.distributions import (
    LEVEL_DISTRIBUTIONS,
    Beta,
    Constant,
    LevelDistribution,
    LogitNormal,
    Mode,
    Power,
    Timesteps,
    Uniform,
)
from dina_lrm.typed import from_tagged, require, to_tagged


@final
@dataclass(frozen=True)
class NoiseLevelSampler:
    """Draws noise levels from a distribution."""

    distribution: LevelDistribution = field(default_factory=Uniform)

    def from_uniform(self, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Map uniform numbers in [0, 1] to noise levels, monotonically: stratified `u` give stratified levels."""
        match self.distribution:
            case Constant(level):
                return torch.full_like(u, level)
            case Uniform(low, high):
                return low + (high - low) * u
            case LogitNormal(mu, s):
                return torch.sigmoid(mu + s * torch.special.ndtri(u))
            case Power(exponent):
                return u.pow(exponent)
            case Beta():
                return _beta(self.distribution, u)
            case Mode(scale):
                return 1 - u - scale * (torch.cos(math.pi / 2 * u).square() - 1 + u)
            case Timesteps():
                return _timesteps(self.distribution, u)

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, " n"]:
        """`n` independent float32 levels in [0, 1] on the generator's device."""
        require(n >= 0, f"{type(self.distribution).__name__}.sample: n", n, "an integer of at least 0")
        u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float32)
        # Rounding may leave the interval by one unit in the last place.
        return self.from_uniform(u).clamp(0, 1)

    def to_dict(self) -> dict[str, Any]:
        """Name and fields of the distribution, ready for JSON."""
        return to_tagged(self.distribution, LEVEL_DISTRIBUTIONS)

    @classmethod
    def from_dict(cls, values: object, where: str = "noise-level sampler") -> "NoiseLevelSampler":
        """The sampler that `to_dict` described. Raises ValueError as `from_tagged`."""
        return cls(from_tagged(LEVEL_DISTRIBUTIONS, values, where))


def _beta(distribution: Beta, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Inverse of the regularised incomplete beta function; torch's own sampler takes no generator."""
    from scipy.special import betaincinv

    quantiles = betaincinv(distribution.alpha, distribution.beta, u.double().cpu().numpy())
    return torch.as_tensor(quantiles).to(u)


def _timesteps(distribution: Timesteps, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    first, interval = distribution.first, distribution.interval
    count = int((distribution.last - first) // interval) + 1
    number = (u * count).floor().clamp(max=count - 1)
    return (first + interval * number + 1) / distribution.total
