r"""Temperature: one number that margins are divided by, so that win probabilities can be believed.

    P_T(a preferred) = F(m / T),   T minimises the negative log-likelihood of the labels

It changes no ranking. Fitted and judged on the same pairs it would flatter itself; `cross_fitted` therefore gives every
pair the temperature of the other half of the prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.scoring import score_comparisons
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError

_LOWEST, _HIGHEST = 1e-2, 1e2
_FLOOR: Final = 1e-12

Link = Callable[[Float[np.ndarray, " pairs"]], Float[np.ndarray, " pairs"]]
"""P(first preferred) from margins of raw scores: increasing, and 1/2 at 0."""


def fitted_temperature(
    link: Link, margins: Float[np.ndarray, " pairs"], preference: Float[np.ndarray, " labels"]
) -> float:
    """The temperature in [0.01, 100] with the least negative log-likelihood; margins that are NaN are left out.

    `preference` is P(first preferred) in [0, 1]: ties and shares of votes count as they are. Raises ValueError without
    a pair.
    """
    usable = np.isfinite(margins)
    if not usable.any():
        raise DinaError(f"none of {margins.size} pairs has a score: there is nothing to fit a temperature on")
    m, y = margins[usable].astype(np.float64), preference[usable].astype(np.float64)

    def loss(log_temperature: float) -> float:
        p = np.clip(link(m / np.exp(log_temperature)), _FLOOR, 1 - _FLOOR)
        return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))

    bounds = (np.log(_LOWEST), np.log(_HIGHEST))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x))


def model_temperature(model: LatentRewardModel, data: EncodedComparisons, batch_size: int = 64, seed: int = 0) -> float:
    """The temperature that a model should be stored with, fitted on pairs it was not trained on, at its own level.

    It takes the place of the one that the model has.
    """
    reading = Reading((float(model.config.noise_level),))
    scores = score_comparisons(model, data, (reading,), batch_size, seed)
    # The link divides by the temperature that the model has already
    factor = fitted_temperature(
        lambda margins: scores.link(margins, 0), scores.margins[:, 0], data.preference.double().numpy()
    )
    return factor * model.config.temperature


def cross_fitted(
    link: Link,
    margins: Float[np.ndarray, " pairs"],
    preference: Float[np.ndarray, " labels"],
    prompts: Int[np.ndarray, " pairs"],
    seed: int = 0,
) -> Float[np.ndarray, " pairs"] | None:
    """Win probabilities at the temperature of the other half of the prompts, two temperatures in all.

    None where there are too few prompts to have two halves with scores.
    """
    unique = np.unique(prompts)
    first = np.random.default_rng(seed).permutation(unique)[: unique.size // 2]
    inside = np.isin(prompts, first)
    scored = np.isfinite(margins)
    if not (scored & inside).any() or not (scored & ~inside).any():
        return None
    probability = np.full(margins.shape, np.nan)
    for half in (inside, ~inside):
        temperature = fitted_temperature(link, margins[~half], preference[~half])
        probability[half] = link(margins[half] / temperature)
    return probability
