"""Which pair a person is asked next: tasks in an order that the seed decides, now and then a control or a repeat.

A pair is asked with all its questions after each other, its sides as they were. Nobody is asked a pair twice but as a
repeat, whose sides are swapped; no task gets more votes of different people than the collection says. All of it is a
function of the seed and of what was answered.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from dina_lrm.collecting.asking.opinions import Choice
from dina_lrm.data.votes import CollectionSettings, Pair, Vote
from dina_lrm.data.votes.records import Side

REPEATED_AFTER: Final = 20
"""Tasks that a person answers between a pair and its repeat."""
_WARMING_UP: Final = 0.5
Key = tuple[str, str]
"""A pair and a question, by their ids."""


@dataclass(frozen=True)
class Ask:
    """A pair with one question; `left` says which of its pictures stands on the left."""

    pair: Pair
    question: str
    left: Side


@final
class Asks:
    """All pairs of a collection, and who answered what; used under its owner's lock.

    `unshown` are pairs that cannot be shown.
    """

    def __init__(self, settings: CollectionSettings, seed: int) -> None:
        self.settings, self._seed = settings, seed
        self.pairs: dict[str, Pair] = {}
        self.chosen: Mapping[str, Choice] = {}
        self.unshown: set[str] = set()
        self._tasks: list[tuple[str, str]] = []
        self._controls: list[tuple[str, str]] = []
        self._repeats: dict[str, Pair] = {}
        self._votes: dict[int, dict[Key, Vote]] = defaultdict(dict)
        self._voters: dict[str, set[int]] = defaultdict(set)

    def add(self, pair: Pair) -> None:
        """A pair that may be asked about from now on."""
        if pair.id in self.pairs:
            return
        self.pairs[pair.id] = pair
        if pair.kind == "repeat":
            assert pair.repeats is not None
            self._repeats[pair.repeats] = pair
        else:
            insort(self._tasks if pair.kind == "task" else self._controls, (self._coin(pair.id), pair.id))

    def answer(self, vote: Vote) -> None:
        """A vote that stands."""
        self._votes[vote.annotator].pop((vote.pair, vote.question), None)  # the last one stands last
        self._votes[vote.annotator][vote.pair, vote.question] = vote
        self._voters[vote.pair].add(vote.annotator)

    def take_back(self, vote: Vote) -> None:
        """A vote that stands no more."""
        own = self._votes[vote.annotator]
        own.pop((vote.pair, vote.question), None)
        if not any((vote.pair, question.id) in own for question in self.settings.questions):
            self._voters[vote.pair].discard(vote.annotator)

    def votes_of(self, annotator: int) -> int:
        """How many votes of a person stand."""
        return len(self._votes[annotator])

    def last_of(self, annotator: int) -> Vote | None:
        """The last vote of a person that stands."""
        return next(reversed(self._votes[annotator].values()), None)

    @property
    def votes(self) -> int:
        """How many votes stand."""
        return sum(map(len, self._votes.values()))

    def open_tasks(self) -> list[str]:
        """Tasks that nobody has answered, by id."""
        return [id for _, id in self._tasks if not self._voters[id] and id not in self.unshown]

    def votes_on(self, question: str) -> list[Vote]:
        """The votes that stand on one question."""
        return [vote for own in self._votes.values() for vote in own.values() if vote.question == question]

    def next(self, annotator: int, count: int, held: Collection[Key]) -> Iterator[Ask]:
        """At least `count` asks that a person has not answered and does not hold, those of a pair together.

        They may be fewer where no more pairs are there. What is not taken from the iterator is asked another time.
        """
        taken = {pair for pair, _ in held}
        given = 0
        begun = len({pair for pair, _ in self._votes[annotator]} | taken)
        for pair in self._unfinished(annotator):
            for ask in self._of(pair, annotator, held):
                given += 1
                yield ask
        while given < count:
            found = self._pair(annotator, begun, taken)
            if found is None:
                return
            taken.add(found.id)
            begun += 1
            if found.id in self.unshown:
                continue
            for ask in self._of(found, annotator, held):
                given += 1
                yield ask

    def side(self, pair: Pair, annotator: int) -> Side:
        """Which picture a person sees on the left: a coin, and the other one where it is asked again."""
        if pair.repeats is not None:
            first = next((self._votes[annotator].get((pair.repeats, one.id)) for one in self.settings.questions), None)
            seen = first.left if first is not None else self.side(self.pairs[pair.repeats], annotator)
            return "b" if seen == "a" else "a"
        return "a" if self._coin(f"{pair.id} {annotator}") < "8" else "b"

    def repeat_of(self, annotator: int, taken: Collection[str]) -> str | None:
        """A task that a person answered some time ago, and is to be asked again; by its id."""
        own = self._votes[annotator]
        tasks = list(dict.fromkeys(pair for pair, _ in own if self.pairs[pair].kind == "task"))
        for id in tasks[: max(0, len(tasks) - REPEATED_AFTER)]:
            again = self._repeats.get(id)
            if again is None or not self._is_done(again.id, annotator, taken):
                return id
        return None

    def _of(self, pair: Pair, annotator: int, held: Collection[Key]) -> Iterator[Ask]:
        for question in self.settings.questions:
            key = pair.id, question.id
            if key not in self._votes[annotator] and key not in held:
                yield Ask(pair, question.id, self.side(pair, annotator))

    def _unfinished(self, annotator: int) -> list[Pair]:
        """Pairs of which a person has answered one question and not yet another."""
        own = self._votes[annotator]
        if len(self.settings.questions) == 1:
            return []
        ids = dict.fromkeys(pair for pair, _ in own)
        return [self.pairs[id] for id in ids if any((id, one.id) not in own for one in self.settings.questions)]

    def _pair(self, annotator: int, begun: int, taken: Collection[str]) -> Pair | None:
        share = int(self._coin(f"{annotator} {begun}")[:8], 16) / 2**32
        if share < self._control_share(annotator):
            control = self._first(self._controls, annotator, taken)
            if control is not None:
                return control
        elif share < self.settings.control_share + self.settings.repeat_share:
            again = self.repeat_of(annotator, taken)
            if again is not None and again in self._repeats:
                return self._repeats[again]
        return self._task(annotator, taken)

    def _control_share(self, annotator: int) -> float:
        """The share of controls, and half of all until a person has answered as many as make their votes count."""
        share = self.settings.control_share
        met = {pair for pair, _ in self._votes[annotator] if self.pairs[pair].kind == "control"}
        return max(share, _WARMING_UP) if share and len(met) < self.settings.first_controls else share

    def _task(self, annotator: int, taken: Collection[str]) -> Pair | None:
        """The first task that is chosen, or else any: those that are chosen have random ones among them."""
        for id in self.chosen:
            if id in self.pairs and self._is_open(id, annotator, taken):
                return self.pairs[id]
        return self._first(self._tasks, annotator, taken)

    def _first(self, among: list[tuple[str, str]], annotator: int, taken: Collection[str]) -> Pair | None:
        return next((self.pairs[id] for _, id in among if self._is_open(id, annotator, taken)), None)

    def _is_open(self, id: str, annotator: int, taken: Collection[str]) -> bool:
        if id in self.unshown or self._is_done(id, annotator, taken):
            return False
        return self.pairs[id].kind != "task" or len(self._voters[id]) < self.settings.votes_a_pair

    def _is_done(self, id: str, annotator: int, taken: Collection[str]) -> bool:
        return id in taken or annotator in self._voters[id]

    def _coin(self, name: str) -> str:
        return hashlib.sha256(f"{self._seed} {name}".encode()).hexdigest()
