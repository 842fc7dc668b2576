"""The votes of a store as what is fitted, and what they weigh by the annotators that come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float

from dina_lrm.collecting.vote_models.fit import Fit, FittedAnnotator, Judgements, fit_annotators
from dina_lrm.collecting.vote_models.likelihood import ANSWERS, Link
from dina_lrm.data.votes.trust import Weighed
from dina_lrm.typed import DinaError

CONTROL_MARGIN: Final = 3.0
"""Of a control, whose answer is known, in root mean squares of margins: whoever looks sees it."""
FEW: Final = 20
"""With fewer votes an annotator is what the prior says, and weighs as they did."""


@dataclass(frozen=True)
class StoreFit:
    """Annotators of a store by their number in it, and how likely a is the better picture, by pair."""

    annotators: Mapping[int, FittedAnnotator]
    a_better: Mapping[str, float]

    def reweighed(self, votes: Sequence[Weighed]) -> list[Weighed]:
        """The same votes, weighing what was fitted; those that weighed nothing, and those of who has few, as before."""
        return [self._reweighed(one) for one in votes]

    def _reweighed(self, one: Weighed) -> Weighed:
        fitted = self.annotators.get(one.vote.annotator)
        if one.refused is not None or fitted is None or fitted.votes < FEW:
            return one
        return replace(one, weight=fitted.weight, refused=None if fitted.weight > 0 else "of no use by the fit")


def fit_store(
    votes: Sequence[Weighed],
    question: str,
    margins: Mapping[str, tuple[float, float]] | None = None,
    link: Link = "thurstone",
) -> StoreFit:
    """Fit the annotators of the votes on a question: all that decide or tie, but for those that were too fast.

    `margins` gives mean and variance of pairs by id, as a model knows them; of other pairs nothing is known. Raises
    DinaError without a vote.
    """
    told = [one for one in votes if one.vote.question == question and one.vote.answer in ANSWERS]
    told = [one for one in told if one.refused != "too fast"]
    if not told:
        raise DinaError(f"question {question}: no votes that decide or tie; accepted: some")
    # A repeat asks about the same two pictures: it shares the margin of its pair
    names = [one.pair.repeats or one.pair.id for one in told]
    rows = {id: row for row, id in enumerate(dict.fromkeys(names))}
    people = {who: row for row, who in enumerate(dict.fromkeys(one.vote.annotator for one in told))}
    known = _margins(told, rows, margins or {})
    judgements = Judgements(
        np.array([rows[name] for name in names]),
        np.array([people[one.vote.annotator] for one in told]),
        np.array([ANSWERS.index(one.vote.answer) for one in told]),
        np.array([1.0 if one.vote.left == "a" else -1.0 for one in told]),
    )
    found: Fit = fit_annotators(judgements, known[:, 0], known[:, 1], link)
    fitted = {who: found.annotators[row] for who, row in people.items()}
    return StoreFit(fitted, {id: float(found.a_better[row]) for id, row in rows.items()})


def _margins(
    told: Sequence[Weighed], rows: Mapping[str, int], margins: Mapping[str, tuple[float, float]]
) -> Float[np.ndarray, "pairs 2"]:
    """Mean and variance of each pair's margin; of one that nothing is known of, 0 and the square of a usual one."""
    usual = [mean**2 + variance for id, (mean, variance) in margins.items() if id in rows]
    square = float(np.mean(usual)) if usual else 1.0
    known = np.array([margins.get(id, (0.0, square)) for id in rows])
    for one in told:
        if one.pair.truth is not None:
            far = CONTROL_MARGIN * square**0.5
            known[rows[one.pair.id]] = (far if one.pair.truth == "a" else -far, 0.0)
    return known
