r"""In which directions a taste may differ from a model's score, and how far votes then say that it does.

    score' = a score + sum_k w_k f_k        a ~ N(1, 1)    w_k ~ N(0, 1)

f_k are the main directions in which pictures of one prompt differ from each other by the statistics of the taps, found
without any vote: what no two pictures of a prompt differ in, votes say nothing of. Together they have a deviation of
0.3 of the score's own before any vote, shared out as pictures differ along them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from dina_lrm.collecting.choice.posterior import Posterior
from dina_lrm.collecting.choice.reading import Reading
from dina_lrm.typed import DinaError

_DIRECTIONS: Final = 32
_DEVIATION: Final = 0.3
_ENOUGH: Final = 600
"""Pictures from which the directions are found, at most: more change little, and cost their square."""
_SMALL: Final = 1e-9


@dataclass(frozen=True)
class LearntScore:
    """A model's own score and a linear map of its taps' statistics: scale * score + statistics . weights + shift."""

    scale: float
    weights: Float[np.ndarray, " statistics"]
    shift: float

    def of(self, reading: Reading) -> Float[np.ndarray, " pictures"]:
        """The scores of pictures."""
        return self.scale * reading.scores + reading.statistics @ self.weights + self.shift


@dataclass(frozen=True)
class Directions:
    """Features of a picture in which votes find a taste: its score, and places along the directions; an affine map."""

    middle: Float[np.ndarray, " statistics"]
    map: Float[np.ndarray, "statistics directions"]

    def features(self, reading: Reading) -> Float[np.ndarray, "pictures features"]:
        """(pictures, 1 + directions): a score is linear in them."""
        return np.concatenate([reading.scores[:, None], (reading.statistics - self.middle) @ self.map], axis=1)

    def before(self) -> Posterior:
        """What is known before any vote: the model's own score, and a deviation of 1 along each feature."""
        weights = np.zeros(1 + self.map.shape[1])
        weights[0] = 1.0
        return Posterior.before(weights, 1.0)

    def score(self, weights: Float[np.ndarray, " features"]) -> LearntScore:
        """What weights of the features come to."""
        own = self.map @ weights[1:]
        return LearntScore(float(weights[0]), own, -float(self.middle @ own))


def directions(reading: Reading, prompts: Sequence[str], seed: int = 0) -> Directions:
    """Directions in which pictures of one prompt differ most. Raises DinaError for values that are not finite."""
    if not (np.isfinite(reading.scores).all() and np.isfinite(reading.statistics).all()):
        raise DinaError("learn: scores or taps of a picture are not finite; accepted: a model that can score them")
    rows = np.sort(np.random.default_rng(seed).permutation(len(prompts))[:_ENOUGH])
    values = reading.statistics[rows]
    spread = values.std(axis=0) + _SMALL * (1 + np.abs(values).max(initial=0.0))
    own = _centred(values / spread, [prompts[row] for row in rows])
    found, left = np.linalg.eigh(own @ own.T)
    kept = [k for k in np.argsort(-found)[:_DIRECTIONS] if found[k] > _SMALL * max(1.0, float(found.max()))]
    size = _DEVIATION * max(float(reading.scores.std()), _SMALL) / np.sqrt(max(1.0, float(found[kept].sum())))
    # A direction is own' left / sqrt(found), of length 1; pictures have the mean square found / n along it
    along = own.T @ left[:, kept] / np.sqrt(found[kept])
    return Directions(values.mean(axis=0), along / spread[:, None] * size * np.sqrt(len(rows)))


def _centred(values: Float[np.ndarray, "rows statistics"], prompts: Sequence[str]) -> Float[np.ndarray, "rows s"]:
    """Without what the pictures of a prompt have in common."""
    found = values.copy()
    for prompt in dict.fromkeys(prompts):
        rows = [row for row, own in enumerate(prompts) if own == prompt]
        found[rows] -= found[rows].mean(axis=0)
    return found
