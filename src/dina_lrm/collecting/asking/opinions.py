"""What a model sees of a collection, and what it then thinks: what to ask next, which picture wins, who is ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from dina_lrm.collecting.choice.posterior import Posterior
from dina_lrm.collecting.choice.ways import choose
from dina_lrm.data.votes import Pair, Vote

ASKED_BY = "eig"
"""How the tasks are chosen: by the bits that a vote is expected to tell, the covariance updated within the batch."""
_BATCH = 100


@dataclass(frozen=True)
class Seen:
    """What a collection knows at a moment: pairs to learn from and to ask, and votes on them."""

    pairs: Mapping[str, Pair]
    open: Sequence[str]
    """Tasks that nobody has answered, by id."""
    votes: Sequence[Vote]


@dataclass(frozen=True)
class Choice:
    """How a task was chosen, and the bits that a vote on it was then expected to tell."""

    chosen_by: str
    eig: float


@dataclass(frozen=True)
class Place:
    """A picture that nobody votes on, by content; `place` counts from 1, `moved` is by how many it rose."""

    content: str
    place: int
    moved: int


@dataclass(frozen=True)
class Opinion:
    """What a model thinks, having learnt from so many votes; `chances` are P(a is preferred), by the pair's id.

    `unread` is how many of the tasks that nobody has answered have pictures which it has yet to read.
    """

    votes: int
    chosen: Mapping[str, Choice] = field(default_factory=dict)
    chances: Mapping[str, float] = field(default_factory=dict)
    places: Sequence[Place] = ()
    unread: int = 0


def chances(
    known: Posterior, differences: Float[np.ndarray, "pairs features"], noise: float
) -> Float[np.ndarray, " pairs"]:
    """P(a is preferred): Phi(m / sqrt(s^2 + v)), how unsure the weights are taken into account."""
    margins, variances = known.margins(differences)
    found: Float[np.ndarray, " pairs"] = ndtr(margins / np.sqrt(noise**2 + variances))
    return found


def choices(
    known: Posterior,
    ids: Sequence[str],
    differences: Float[np.ndarray, "pairs features"],
    noise: float,
    random_share: float,
    seed: int,
) -> dict[str, Choice]:
    """The next tasks, in the order in which they are to be asked; a share of them is drawn at random."""
    found = choose(ASKED_BY, known, differences, noise, _BATCH, random_share, seed)
    return {ids[one.row]: Choice(one.chosen_by, one.eig) for one in found}


def ranked(
    contents: Sequence[str], scores: Float[np.ndarray, " pictures"], before: Sequence[Place]
) -> tuple[Place, ...]:
    """Pictures from best to worst, and by how many places each rose since before."""
    places = {one.content: one.place for one in before}
    order = [contents[row] for row in np.argsort(-scores, kind="stable")]
    return tuple(Place(one, place, places.get(one, place) - place) for place, one in enumerate(order, start=1))
