"""A collection in one place for the routes: its store, its pairs, the people who answer."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

from dina_lrm.collecting.asking.answers import Cast, TakenBack
from dina_lrm.collecting.asking.asks import Ask, Asks, Key
from dina_lrm.collecting.asking.controls import ControlMaker
from dina_lrm.collecting.asking.filling import POOL, Filling
from dina_lrm.collecting.asking.opinions import Opinion, Seen
from dina_lrm.collecting.asking.shown import ShownPictures
from dina_lrm.collecting.asking.taught import Taught
from dina_lrm.collecting.candidates.candidate import Candidates
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.data.votes import Added, CollectionSettings, NewVote, Question, Vote, VoteStore
from dina_lrm.data.votes.shares import Shares, shares
from dina_lrm.data.votes.trust import weighed
from dina_lrm.typed import DinaError

RECORDED: Final = "recorded"
SEEN: Final = "seen"
PATIENCE: Final = 2.0
"""Seconds to wait for pairs that are being prepared."""


@dataclass(frozen=True)
class Progress:
    """How far a person is, and all are; `more` says whether pairs may come: waiting, or none."""

    mine: int
    all: int
    more: str


@final
class Collection:
    """People are asked about the pairs of a source, and what they answer goes into a store; used by many threads.

    The store keeps the settings that it was begun with, but for what `settings` say otherwise.
    """

    def __init__(self, settings: AnnotateSettings, store: VoteStore, candidates: Candidates) -> None:
        self.settings, self.store, self.candidates = settings, store, candidates
        self._ask = _agreed(settings, store)
        self.shown = ShownPictures()
        self.unreadable: dict[str, str] = {}
        self._lock = threading.RLock()
        self._asks = Asks(self._ask, settings.seed)
        self._taken_back: set[str] = set()
        self._people: dict[str, int] = {}
        self._read()
        self.resumed = self._asks.votes
        controls = ControlMaker(self._ask.control_share, settings.seed) if self._ask.control_share else None
        self._filling = Filling(candidates, store, self._wanted, self._added, controls)
        self._taught = Taught(settings, self._ask.random_share, self._seen, self._weighed, store.picture, self._heard)
        self._filling.start()
        self._taught.start()

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked of each pair."""
        return self._ask.questions

    @property
    def id(self) -> str:
        """Tells this collection from others, for whoever keeps votes of several."""
        return hashlib.sha256(str(self.store.path.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]

    def close(self) -> None:
        """End: no more pairs come, and what was learnt is written. Called again, it does nothing."""
        self._filling.close()
        self._taught.close()

    def notes(self) -> list[str]:
        """Sentences on what was found, left out, and went wrong up to now."""
        fault = [self._filling.fault] if self._filling.fault else []
        with self._lock:
            reasons = [*self.unreadable.values()]
        broken = [f"{len(reasons)} pictures cannot be shown (such as {reasons[0]})"] if reasons else []
        return [*self.candidates.notes, *self.candidates.told(), *broken, *fault, *self._taught.notes()]

    def join(self, name: str) -> int:
        """The number of a person. Raises DinaError for a name that is none."""
        with self._lock:
            if name not in self._people:
                self._people[name] = self.store.join(name)
            return self._people[name]

    def next(self, annotator: int, count: int, held: Iterable[Key] = (), patience: float = PATIENCE) -> list[Ask]:
        """What a person is asked next, at least `count` where so many are there; `held` are not asked again.

        Pictures that cannot be shown are found now, and their pairs not asked. While pairs come and none is there yet,
        this waits for them, `patience` seconds at most.
        """
        end = time.monotonic() + patience
        while not (found := self._next(annotator, count, set(held))):
            if self._filling.ended or not self._filling.wait(end - time.monotonic()):
                break
        return found or self._next(annotator, count, set(held))

    def picture(self, content: str) -> bytes:
        """A picture as it is shown. Raises ValueError or OSError for one that cannot be read, or is none of these."""
        return self.shown.picture(content, lambda: self._taught.bytes_of(content))

    def opinion(self) -> Opinion:
        """What the model thinks that learns from the votes; of no votes where none does."""
        return self._taught.opinion

    def chance(self, ask: Ask) -> float | None:
        """P(the left picture is preferred) by the model that learns, where it is to be revealed after the vote."""
        found = self.opinion().chances.get(ask.pair.id) if self.settings.reveal else None
        return found if found is None or ask.left == "a" else 1 - found

    def take(self, annotator: int, event: Cast | TakenBack) -> str:
        """Record what somebody did; it is on disk when this returns. Returns `RECORDED`, or `SEEN` where it was before.

        Raises DinaError for a vote that cannot be, and for taking back another than the last; OSError where it could
        not be written.
        """
        return self._record(annotator, event) if isinstance(event, Cast) else self._take_back(annotator, event)

    def last(self, annotator: int) -> tuple[Vote, Ask] | None:
        """The last vote of a person, and what was asked."""
        with self._lock:
            vote = self._asks.last_of(annotator)
            return None if vote is None else (vote, Ask(self._asks.pairs[vote.pair], vote.question, vote.left))

    def progress(self, annotator: int) -> Progress:
        """How far a person is."""
        with self._lock:
            more = "none" if self._filling.ended else "waiting"
            return Progress(self._asks.votes_of(annotator), self._asks.votes, more)

    @property
    def votes(self) -> int:
        """How many votes stand."""
        with self._lock:
            return self._asks.votes

    @property
    def pairs(self) -> int:
        """How many pairs are there to be asked about."""
        with self._lock:
            return len(self._asks.pairs)

    def _next(self, annotator: int, count: int, held: set[Key]) -> list[Ask]:
        found: list[Ask] = []
        while len(found) < count:
            with self._lock:
                self._repeat(annotator)
                asked = list(self._asks.next(annotator, count - len(found), held))
            if not asked:
                break
            for ask in asked:
                held.add((ask.pair.id, ask.question))
                if self._is_shown(ask):
                    self._mark(ask)
                    found.append(ask)
        self._filling.look()
        return found

    def _record(self, annotator: int, cast: Cast) -> str:
        vote = cast.vote(annotator)
        with self._lock:
            found = self.store.record(vote)
            if found.new:
                self._asks.answer(_stored(found.id, vote))
        self._taught.look()
        return RECORDED if found.new else SEEN

    def _take_back(self, annotator: int, event: TakenBack) -> str:
        with self._lock:
            if event.client_id in self._taken_back:
                return SEEN
            last = self._asks.last_of(annotator)
            if last is None or last.client_id != event.of:
                raise DinaError("that vote is not your last one: you voted in another window since, or it was undone")
            undone = self.store.undo(annotator, event.client_id)
            assert undone is not None and undone.client_id == event.of
            self._taken_back.add(event.client_id)
            self._asks.take_back(last)
        self._taught.look()
        return RECORDED

    def _read(self) -> None:
        for pair in self.store.pairs():
            self._asks.add(pair)
        for vote in self.store.votes():
            self._asks.answer(vote)
        self._taken_back = {vote.client_id for vote in self.store.log() if vote.answer == "undo"}

    def _repeat(self, annotator: int) -> None:
        """Make the row of the next pair that a person is to be asked again."""
        id = self._asks.repeat_of(annotator, ()) if self._ask.repeat_share else None
        if id is not None:
            self._asks.add(self.store.repeat(id))

    def _is_shown(self, ask: Ask) -> bool:
        for content in (ask.pair.image_a, ask.pair.image_b):
            try:
                self.picture(content)
            except (ValueError, OSError) as error:
                with self._lock:
                    self.unreadable[content] = str(error)
                    self._asks.unshown.add(ask.pair.id)
                return False
        return True

    def _mark(self, ask: Ask) -> None:
        """Store how a task was chosen before it is asked for the first time: only random ones measure anything."""
        chosen = self._taught.opinion.chosen.get(ask.pair.id)
        if chosen is not None:
            self.store.mark([(ask.pair.id, chosen.chosen_by, chosen.eig)])

    def _seen(self) -> Seen:
        """What there is to learn from; control pairs and their damaged pictures are not."""
        with self._lock:
            votes = self._asks.votes_on(self.questions[0].id)
            open_tasks = self._asks.open_tasks()
            wanted = {*open_tasks, *(vote.pair for vote in votes)}
            pairs = {id: self._asks.pairs[id] for id in wanted if self._asks.pairs[id].kind != "control"}
        return Seen(pairs, open_tasks, [vote for vote in votes if vote.pair in pairs])

    def _weighed(self) -> Shares:
        """What all votes come to on the first question, as training reads them of the store."""
        votes = weighed(self.store.log(), self.store.pairs(), self._ask)
        return shares(votes, self.questions[0].id)

    def _heard(self, opinion: Opinion) -> None:
        with self._lock:
            self._asks.chosen = opinion.chosen

    def _wanted(self) -> bool:
        with self._lock:
            return len(self._asks.open_tasks()) < POOL

    def _added(self, found: Added) -> None:
        new = [self.store.pair(id) for id in found.new]
        with self._lock:
            for pair in new:
                self._asks.add(pair)
        self._taught.look()


def _agreed(settings: AnnotateSettings, store: VoteStore) -> CollectionSettings:
    """How the collection asks: as its store says, with what is said otherwise now."""
    own, asked = store.settings, settings.asked()
    changed = replace(own, **_said(settings, [Question(one.name, one.text) for one in asked]))
    if changed != own:
        store.change(changed)
    return changed


def _said(settings: AnnotateSettings, questions: Sequence[Question]) -> dict[str, Any]:
    told = {
        "questions": tuple(questions) or None,
        "control_share": settings.controls,
        "repeat_share": settings.repeats,
        "votes_a_pair": settings.votes_a_pair,
    }
    return {name: value for name, value in told.items() if value is not None}


def _stored(id: int, vote: NewVote) -> Vote:
    said = (vote.pair, vote.annotator, vote.question, vote.answer, vote.left, vote.ms, vote.at or time.time())
    return Vote(id, *said, vote.screen, vote.reason, vote.client_id, None)
