r"""P(a preferred to b) from the margin of their scores and the noise scale of the states that were scored.

    m      = r_a - r_b
    var(t) = k sigma(t)^2 + sigma_u^2                    Thurstone on noisy states (paper, Eq. 7)
    P      = Phi(m / sqrt(2 var(t)))                     (paper, Eq. 8); k = 0 is Thurstone's case V (Eq. 5)
    P      = 1 / (1 + exp(-m))                           Bradley-Terry

A model is the log-CDF F of a symmetric distribution: log P(a) = F(m), log P(b) = F(-m), so that they sum to one.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from dina_lrm.preference.normal import log_ndtr
from dina_lrm.typed import from_tagged, require, to_tagged


class LogProbabilities(NamedTuple):
    """log P(a preferred) and log P(b preferred)."""

    a: Float[Tensor, "..."]
    b: Float[Tensor, "..."]


class PreferenceModel(ABC):
    """Log-CDF of a symmetric distribution over score margins.

    `sigma` is the process's `sigma(t)` in [0, 1], not the noise level itself. Margin and sigma broadcast. Whatever they
    were computed in, everything here is computed in float32 (float64 stays float64), and value and gradient are finite
    for margins to +-1e4 at every sigma.
    """

    @abstractmethod
    def log_cdf(self, margin: Float[Tensor, "*shape"], sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Log P(margin of the true utilities > 0); both arguments have one shape and dtype."""

    def log_probabilities(self, margin: Float[Tensor, "..."], sigma: Float[Tensor, "..."] | float) -> LogProbabilities:
        """Both log-probabilities: neither is computed from the other, so that the small one keeps its digits."""
        dtype = torch.promote_types(margin.dtype, torch.float32)
        noise = torch.as_tensor(sigma, dtype=dtype, device=margin.device)
        margin, noise = torch.broadcast_tensors(margin.to(dtype), noise)
        return LogProbabilities(self.log_cdf(margin, noise), self.log_cdf(-margin, noise))

    def probability(self, margin: Float[Tensor, "..."], sigma: Float[Tensor, "..."] | float) -> Float[Tensor, "..."]:
        """P(a preferred), rounded inside the open interval (0, 1): no finite margin is a certainty."""
        probability = self.log_probabilities(margin, sigma).a.exp()
        limits = torch.finfo(probability.dtype)
        return probability.clamp(limits.tiny, 1 - limits.eps / 2)

    def to_dict(self) -> dict[str, Any]:
        """Name and fields, ready for JSON."""
        return to_tagged(self, PREFERENCE_MODELS)

    @staticmethod
    def from_dict(values: object, where: str = "preference model") -> "PreferenceModel":
        """The model that `to_dict` described. Raises ValueError as `from_tagged`."""
        return from_tagged(PREFERENCE_MODELS, values, where)


@final
@dataclass(frozen=True)
class Thurstone(PreferenceModel):
    """Normal judgement noise that grows with the noise of the states (paper, Eq. 7 and 8)."""

    k: float = 2.0
    """Growth of the variance with sigma^2; 0 = the same variance at every noise level."""
    variance_floor: float = 0.01
    """sigma_u^2 > 0: variance of one judgement of a clean image."""
    epsilon: float = 0.0
    """Added to the variance of the difference; the released code has 1e-6."""

    def __post_init__(self) -> None:
        require(0 <= self.k < float("inf"), "Thurstone: k", self.k, "a finite number of at least 0")
        require(
            0 < self.variance_floor < float("inf"),
            "Thurstone: variance_floor",
            self.variance_floor,
            "a finite number above 0",
        )
        require(0 <= self.epsilon < float("inf"), "Thurstone: epsilon", self.epsilon, "a finite number of at least 0")

    def variance(self, sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Variance of one judgement, `k sigma^2 + sigma_u^2`; that of a comparison is twice as much."""
        return self.k * sigma.square() + self.variance_floor

    def log_cdf(self, margin: Float[Tensor, "*shape"], sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """`log Phi(m / sqrt(2 var + epsilon))`."""
        return log_ndtr(margin / (2 * self.variance(sigma) + self.epsilon).sqrt())


@final
@dataclass(frozen=True)
class BradleyTerry(PreferenceModel):
    """Logistic judgement noise, the same at every noise level (Bradley and Terry, 1952)."""

    def log_cdf(self, margin: Float[Tensor, "*shape"], sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """`log sigmoid(m)`."""
        return logsigmoid(margin)


PREFERENCE_MODELS: Final[dict[str, type[PreferenceModel]]] = {"thurstone": Thurstone, "bradley-terry": BradleyTerry}
"""A new preference model is a class above and a row here; every test of the laws then holds it too."""
