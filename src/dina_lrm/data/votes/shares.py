"""From votes to one line a pair: the weighted share of those who prefer a, and what says nothing of a and b kept apart.

Of votes with answers y (a is 1, b is 0, a tie 1/2) and weights w: preference = sum(w y) / sum(w), weight = sum(w) / n,
votes = n. "Both bad" is no tie, and a skip is no answer: a pair with nothing else has no line. Of each picture alone
"both bad" does say something: `bad_pairs` has it, weighed by sum(w of both bad) / n, n now all answers but skips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dina_lrm.data.votes.records import Pair
from dina_lrm.data.votes.trust import Weighed

VALUES: Final = {"a": 1.0, "tie": 0.5, "b": 0.0}
"""How likely a is preferred, by what was answered."""
BOTH_BAD: Final = "both_bad"


@dataclass(frozen=True)
class Share:
    """What the votes on a pair come to. `votes` decided or tied it, `both_bad` and `skipped` did not."""

    pair: Pair
    preference: float
    weight: float
    votes: int
    both_bad: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Shares:
    """The pairs that have a line, and all other votes by the reason why they are in none: none is dropped unsaid."""

    question: str
    pairs: tuple[Share, ...]
    unused: Counter[str] = field(default_factory=Counter)
    """Votes that are in no line, by reason."""
    both_bad: tuple[tuple[Pair, int], ...] = ()
    """Pairs that were called bad both, and how often, whether they have a line or not."""

    @property
    def used(self) -> int:
        """Votes that are in a line."""
        return sum(share.votes for share in self.pairs)

    def told(self) -> str:
        """The numbers, as a sentence."""
        apart = ", ".join(f"{count} {why}" for why, count in self.unused.most_common())
        found = self.used + self.unused.total()
        return f"{found} votes: {self.used} in {len(self.pairs)} pairs" + (f", not read: {apart}" if apart else "")


def shares(votes: Iterable[Weighed], question: str) -> Shares:
    """One line for each pair with a vote that weighs something, in the order in which pairs were first voted on."""
    unused: Counter[str] = Counter()
    of_pair: dict[str, list[Weighed]] = {}
    for one in votes:
        if one.vote.question != question:
            unused["of another question"] += 1
        elif one.pair.kind != "task":
            unused[f"{one.pair.kind}s"] += 1
        else:
            of_pair.setdefault(one.pair.id, []).append(one)
    found, bad = [], []
    for given in of_pair.values():
        share = _share(given)
        unused["both bad"] += share.both_bad
        unused["skipped"] += share.skipped
        bad += [(share.pair, share.both_bad)] if share.both_bad else []
        if share.weight > 0:
            found.append(share)
        else:
            refused = (one.refused or "without weight" for one in given if one.vote.answer in VALUES)
            unused.update(refused)
    return Shares(question, tuple(found), +unused, tuple(bad))


@dataclass(frozen=True)
class BadPair:
    """A pair that was called bad both: by so many `votes`, and what they weigh beside all answers on it, above 0."""

    pair: Pair
    weight: float
    votes: int


def bad_pairs(votes: Iterable[Weighed], question: str) -> tuple[BadPair, ...]:
    """The pairs that somebody whose vote weighs something called bad both, in the order of their first votes."""
    of_pair: dict[str, list[Weighed]] = {}
    for one in votes:
        if one.vote.question == question and one.pair.kind == "task" and one.vote.answer in (*VALUES, BOTH_BAD):
            of_pair.setdefault(one.pair.id, []).append(one)
    found = []
    for given in of_pair.values():
        bad = [one.weight for one in given if one.vote.answer == BOTH_BAD]
        found.append(BadPair(given[0].pair, sum(bad) / len(given), len(bad)))
    return tuple(one for one in found if one.weight > 0)


def _share(given: list[Weighed]) -> Share:
    told = [one for one in given if one.vote.answer in VALUES]
    answers = Counter(one.vote.answer for one in given)
    whole = sum(one.weight for one in told)
    wins = sum(one.weight * VALUES[one.vote.answer] for one in told)
    numbers = (wins / whole if whole else 0.5, whole / len(told) if told else 0.0, len(told))
    return Share(given[0].pair, *numbers, answers[BOTH_BAD], answers["skip"])
