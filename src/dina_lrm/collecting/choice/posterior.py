r"""What votes say of linear utilities: the likeliest weights and, by Laplace, how sure they are.

Of pair i the features differ by x_i, its margin is w . x_i, a vote for a has probability Phi(w . x_i / s):

    w ~ N(w_0, prior)      S^-1 = prior^-1 + sum_i n_i g(w . x_i) x_i x_i'

with g of `information.curvature`. Margins are then N(w . x, x' S x).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float
from scipy.special import log_ndtr

from dina_lrm.collecting.choice.information import curvature
from dina_lrm.typed import require

_STEPS: Final = 100
_CONVERGED: Final = 1e-9


@dataclass(frozen=True)
class Posterior:
    """Weights and their covariance."""

    weights: Float[np.ndarray, " features"]
    covariance: Float[np.ndarray, "features features"]

    @classmethod
    def before(cls, weights: Float[np.ndarray, " features"], variance: float) -> Posterior:
        """What is known before any vote: `weights`, each unsure by the same variance."""
        require(variance > 0 and math.isfinite(variance), "variance", variance, "a finite number above 0")
        return cls(weights, variance * np.eye(len(weights)))

    def margins(
        self, differences: Float[np.ndarray, "pairs features"]
    ) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
        """Means and variances of the margins of pairs."""
        spread = np.einsum("pf,fg,pg->p", differences, self.covariance, differences)
        return differences @ self.weights, np.maximum(spread, 0.0)

    def after_a_vote(self, difference: Float[np.ndarray, " features"], noise: float) -> Posterior:
        """The same weights with a smaller covariance, as once a pair was answered, whatever the answer."""
        step = self.step(difference, noise)
        return Posterior(self.weights, self.covariance - np.outer(step, step))

    def step(self, difference: Float[np.ndarray, " features"], noise: float) -> Float[np.ndarray, " features"]:
        """The direction u that a vote makes surer: the covariance loses u u', and the margin of x loses (x . u)^2."""
        g = float(curvature(np.atleast_1d(difference @ self.weights), noise)[0])
        along = self.covariance @ difference
        return along * math.sqrt(g / (1 + g * float(difference @ along)))


def fit_posterior(
    prior: Posterior,
    differences: Float[np.ndarray, "votes features"],
    outcomes: Float[np.ndarray, " votes"],
    noise: float,
    counts: Float[np.ndarray, " votes"] | None = None,
) -> Posterior:
    """The likeliest weights by Newton's method, and Laplace's covariance there.

    `outcomes` are shares of votes for a, 1/2 a tie; `counts` weigh them, by default 1 each. Raises DinaError for
    outcomes outside [0, 1], NaN among them.
    """
    inside = bool(((outcomes >= 0) & (outcomes <= 1)).all())
    require(inside, "outcomes", outcomes.tolist()[:9], "shares in [0, 1]")
    times = np.ones(len(outcomes)) if counts is None else counts
    precision = np.linalg.inv(prior.covariance)
    weights = prior.weights.copy()
    loss = _loss(weights, prior, precision, differences, outcomes, noise, times)
    for _ in range(_STEPS):
        z = differences @ weights / noise
        pull = times * (outcomes * _ratio(z) - (1 - outcomes) * _ratio(-z)) / noise
        gradient = precision @ (weights - prior.weights) - differences.T @ pull
        hessian = precision + (differences.T * (times * curvature(differences @ weights, noise))) @ differences
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (moved := _loss(weights - size * step, prior, precision, differences, outcomes, noise, times)) > loss:
            size /= 2
            if size < 1e-6:
                break
        if size < 1e-6 or float(np.abs(step).max(initial=0.0)) < _CONVERGED:
            break
        weights, loss = weights - size * step, moved
    hessian = precision + (differences.T * (times * curvature(differences @ weights, noise))) @ differences
    return Posterior(weights, np.linalg.inv(hessian))


def _ratio(z: Float[np.ndarray, " votes"]) -> Float[np.ndarray, " votes"]:
    """phi(z) / Phi(z), the derivative of log Phi."""
    return np.exp(-np.square(z) / 2 - 0.5 * math.log(2 * math.pi) - log_ndtr(z))


def _loss(
    weights: Float[np.ndarray, " features"],
    prior: Posterior,
    precision: Float[np.ndarray, "features features"],
    differences: Float[np.ndarray, "votes features"],
    outcomes: Float[np.ndarray, " votes"],
    noise: float,
    times: Float[np.ndarray, " votes"],
) -> float:
    z = differences @ weights / noise
    fit = times * (outcomes * log_ndtr(z) + (1 - outcomes) * log_ndtr(-z))
    off = weights - prior.weights
    return float(0.5 * off @ precision @ off - fit.sum())
