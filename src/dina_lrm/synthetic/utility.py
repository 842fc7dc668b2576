"""The true utility of a picture for its prompt, and the simulated people who judge it.

A picture's utility is minus the weighted sum of what is wrong with it: alignment (mismatches with the prompt) and
quality (defects, by severity). An annotator sees utility plus Gaussian noise (Thurstone, case V):
`P(a preferred) = Phi((u_a - u_b) / (sqrt(2) s))`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from dina_lrm.synthetic.defects import DEFECTS
from dina_lrm.synthetic.draws import EXTRA_OBJECT, Draw
from dina_lrm.typed import DinaError

ALIGNMENT_WEIGHTS: Final = {
    "wrong colour": 1.0,
    "wrong shape": 1.0,
    "wrong relation": 1.0,
    "wrong count": 1.0,
    EXTRA_OBJECT: 0.8,
}
QUALITY_WEIGHTS: Final = {
    "blur": 1.8,
    "noise": 1.8,
    "low contrast": 1.6,
    "colour shift": 1.6,
    "grid": 1.8,
    "jpeg": 1.8,
}
assert set(QUALITY_WEIGHTS) == set(DEFECTS)


@dataclass(frozen=True)
class Annotator:
    """A person: how much alignment and quality matter to them, and how noisily they judge (s, in utility units)."""

    alignment: float = 1.0
    quality: float = 1.0
    noise: float = 0.3

    def utility(self, parts: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) utility from (n, 2) alignment and quality parts."""
        return parts @ np.array([self.alignment, self.quality])

    def probability(self, parts_a: NDArray[np.float64], parts_b: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) probability that this person prefers the first picture."""
        return self.preference(self.utility(parts_a) - self.utility(parts_b))

    def preference(self, margin: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) the same probability from the first utility minus the second; NaN stays NaN."""
        return np.asarray(ndtr(margin / (np.sqrt(2) * self.noise)))


PERSONALITIES: Final = {
    "balanced": Annotator(),
    "aesthete": Annotator(alignment=0.4, quality=1.5),
    "literalist": Annotator(alignment=1.5, quality=0.4),
    "careless": Annotator(noise=0.9),
}
"""Named annotators. The true utility is that of `balanced`."""


def utility_parts(draws: Sequence[Draw]) -> NDArray[np.float64]:
    """(n, 2) alignment and quality, each at most 0; 0 = nothing wrong."""
    parts = np.zeros((len(draws), 2))
    for row, draw in enumerate(draws):
        for flaw in draw.flaws:
            if flaw.kind in ALIGNMENT_WEIGHTS:
                parts[row, 0] -= ALIGNMENT_WEIGHTS[flaw.kind] * flaw.severity
            else:
                parts[row, 1] -= QUALITY_WEIGHTS[flaw.kind] * flaw.severity
    return parts


AXES: Final = ("alignment", "quality")
"""What is asked of pictures one by one: the columns of `utility_parts`."""


def axis_parts(parts: NDArray[np.float64], axis: str) -> NDArray[np.float64]:
    """(n, 2) the same, with all but one axis left aside. Raises ValueError for an unknown one."""
    if axis not in AXES:
        raise DinaError(f"axis {axis!r}; accepted: {', '.join(AXES)}")
    return np.where(np.arange(len(AXES)) == AXES.index(axis), parts, 0.0)


def true_utility(draws: Sequence[Draw]) -> NDArray[np.float64]:
    """(n,) utility in the eyes of the balanced annotator."""
    return PERSONALITIES["balanced"].utility(utility_parts(draws))


def vote(probability: NDArray[np.float64], votes: int, ties: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n,) share of `votes` people who prefer the first picture; each says 'a tie' (half a vote) with chance `ties`
    times how close the call is, `4 p (1 - p)`.
    """
    if votes < 1:
        raise DinaError(f"vote: votes={votes}; accepted: at least 1")
    p = probability[:, None]
    undecided = rng.random((len(probability), votes)) < ties * 4 * p * (1 - p)
    first = rng.random((len(probability), votes)) < p
    return np.where(undecided, 0.5, first).mean(axis=1)


def bayes_ceiling(probability: NDArray[np.float64]) -> float:
    """The expected accuracy of a judge who knows the true probabilities: mean of max(p, 1 - p)."""
    return float(np.maximum(probability, 1 - probability).mean())
