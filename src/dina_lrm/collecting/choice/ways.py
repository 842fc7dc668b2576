"""The ways of choosing pairs to ask, each a function of what is known and of a coin; one row of `WAYS` for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from dina_lrm.collecting.choice.information import expected_information
from dina_lrm.collecting.choice.posterior import Posterior
from dina_lrm.typed import require

RANDOM: Final = "random"


@dataclass(frozen=True)
class Chosen:
    """A pair by its row, how it was chosen, and the bits that a vote on it was then expected to tell."""

    row: int
    chosen_by: str
    eig: float


Way = Callable[[Posterior, Float[np.ndarray, "pairs features"], float, int, np.random.Generator], list[int]]


def choose(
    way: str,
    known: Posterior,
    differences: Float[np.ndarray, "pairs features"],
    noise: float,
    number: int,
    random_share: float = 0.2,
    seed: int = 0,
) -> list[Chosen]:
    """`number` pairs to ask, none twice, in the order in which they are to be asked; all of them where there are fewer.

    A share of them is drawn at random whatever the way, in places that are random too: only these measure anything.
    `noise` is the standard deviation of an annotator's judgement. Raises DinaError for a way that there is none of, and
    for differences that are not finite.
    """
    require(way in WAYS, "way", way, ", ".join(WAYS))
    require(bool(np.isfinite(differences).all()), "differences", "values that are not finite", "finite features")
    coin = np.random.default_rng(seed)
    number = min(number, len(differences))
    drawn = coin.random(number) < random_share if way != RANDOM else np.ones(number, bool)
    any_of = coin.permutation(len(differences))[: int(drawn.sum())].tolist()
    left = np.setdiff1d(np.arange(len(differences)), any_of)
    picked = left[WAYS[way](known, differences[left], noise, number - len(any_of), coin)].tolist() if len(left) else []
    bits = expected_information(*known.margins(differences), noise)
    order = [(any_of if at_random else picked).pop(0) for at_random in drawn]
    return [Chosen(row, RANDOM if at else way, float(bits[row])) for row, at in zip(order, drawn, strict=True)]


def _random(
    known: Posterior, differences: Float[np.ndarray, "pairs features"], noise: float, number: int,
    coin: np.random.Generator,
) -> list[int]:  # fmt: skip
    return coin.permutation(len(differences))[:number].tolist()


def _margin(
    known: Posterior, differences: Float[np.ndarray, "pairs features"], noise: float, number: int,
    coin: np.random.Generator,
) -> list[int]:  # fmt: skip
    """Those with the smallest margins."""
    return np.argsort(np.abs(known.margins(differences)[0]), kind="stable")[:number].tolist()


def _top(
    known: Posterior, differences: Float[np.ndarray, "pairs features"], noise: float, number: int,
    coin: np.random.Generator,
) -> list[int]:  # fmt: skip
    """Those whose votes tell most, each as if it were asked alone: they may all tell the same."""
    return np.argsort(-expected_information(*known.margins(differences), noise), kind="stable")[:number].tolist()


def _informed(
    known: Posterior, differences: Float[np.ndarray, "pairs features"], noise: float, number: int,
    coin: np.random.Generator,
) -> list[int]:  # fmt: skip
    """The one whose vote tells most; then, sure by that much more, the next.

    The covariance changes by one direction with each, so that variances of all pairs follow by one product.
    """
    margins, variances = known.margins(differences)
    chosen: list[int] = []
    for _ in range(number):
        bits = expected_information(margins, variances, noise)
        bits[chosen] = -1.0
        chosen.append(int(np.argmax(bits)))
        surer = differences @ known.step(differences[chosen[-1]], noise)
        variances = np.maximum(variances - np.square(surer), 0.0)
        known = known.after_a_vote(differences[chosen[-1]], noise)
    return chosen


WAYS: Final[dict[str, Way]] = {RANDOM: _random, "margin": _margin, "eig-top": _top, "eig": _informed}
