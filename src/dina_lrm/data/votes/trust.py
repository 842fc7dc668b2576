"""What a vote counts: what its annotator's controls had shown by then, and nothing that came later.

Of `r` controls right and `w` wrong, p = (1 + r) / (2 + r + w) is the mean of Beta(1 + r, 1 + w), and a vote weighs
max(0, 2 p - 1): 0 for who guesses, towards 1 for who is always right. A vote counts once its annotator has answered
`first_controls` of them with a `right_share` right: with 8 of 10, who guesses passes with probability 0.055. In a
collection that asks no controls each vote weighs 1. A vote in less than `fastest_ms` weighs 0.

Nobody is weighed by agreeing with others or with a model: taste is no fault.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dina_lrm.data.votes.records import UNDONE, CollectionSettings, Pair, Vote

TOO_FAST: Final = "too fast"
FEW_CONTROLS: Final = "before enough controls"
WRONG_CONTROLS: Final = "controls wrong"


@dataclass(frozen=True)
class Trust:
    """Controls that an annotator had answered at some time."""

    right: int = 0
    wrong: int = 0

    @property
    def mean(self) -> float:
        """How likely the next control is right, in (0, 1)."""
        return (1 + self.right) / (2 + self.right + self.wrong)

    def refusal(self, settings: CollectionSettings) -> str | None:
        """Why votes do not count, None where they do."""
        answered = self.right + self.wrong
        if answered < settings.first_controls:
            return FEW_CONTROLS
        return WRONG_CONTROLS if self.right < settings.right_share * answered or self.mean <= 0.5 else None


@dataclass(frozen=True)
class Weighed:
    """A vote that stands, the pair it is about, what it weighs in [0, 1], and why that is nothing, where it is."""

    vote: Vote
    pair: Pair
    weight: float
    refused: str | None = None


def weighed(log: Sequence[Vote], pairs: Iterable[Pair], settings: CollectionSettings) -> list[Weighed]:
    """The votes that stand among all rows of a store, in order, each with its weight as of the row that it is.

    What is recorded later changes no weight of what was recorded before.
    """
    known = {pair.id: pair for pair in pairs}
    first_control = min((pair.at for pair in known.values() if pair.kind == "control"), default=math.inf)
    controls: dict[int, dict[tuple[str, str], bool]] = defaultdict(dict)
    standing: dict[tuple[str, int, str], Weighed] = {}
    for vote in log:
        pair = known[vote.pair]
        key = (vote.pair, vote.annotator, vote.question)
        standing.pop(key, None)
        if vote.answer != UNDONE:
            standing[key] = _weigh(vote, pair, controls[vote.annotator].values(), settings, vote.at >= first_control)
        if pair.kind == "control":
            _note(controls[vote.annotator], vote, pair)
    return list(standing.values())


def trust_now(log: Sequence[Vote], pairs: Iterable[Pair]) -> dict[int, Trust]:
    """Each annotator's controls as they stand at the end of the log."""
    known: Mapping[str, Pair] = {pair.id: pair for pair in pairs}
    controls: dict[int, dict[tuple[str, str], bool]] = defaultdict(dict)
    for vote in log:
        answered = controls[vote.annotator]
        if known[vote.pair].kind == "control":
            _note(answered, vote, known[vote.pair])
    return {annotator: _counted(answers.values()) for annotator, answers in controls.items()}


def _note(answered: dict[tuple[str, str], bool], vote: Vote, pair: Pair) -> None:
    """A control's answer from here on; one that is skipped or taken back tells nothing."""
    key = (vote.pair, vote.question)
    answered.pop(key, None)
    if vote.answer not in (UNDONE, "skip"):
        answered[key] = vote.answer == pair.truth


def _counted(answers: Iterable[bool]) -> Trust:
    given = list(answers)
    return Trust(sum(given), len(given) - sum(given))


def _weigh(vote: Vote, pair: Pair, answers: Iterable[bool], settings: CollectionSettings, controlled: bool) -> Weighed:
    trust = _counted(answers)
    refused = trust.refusal(settings) if controlled else None
    if vote.ms is not None and vote.ms < settings.fastest_ms:
        refused = TOO_FAST
    weight = 0.0 if refused else max(0.0, 2 * trust.mean - 1) if controlled else 1.0
    return Weighed(vote, pair, weight, refused)
