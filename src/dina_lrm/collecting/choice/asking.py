"""What an annotator is asked next: controls to know who answers with care, repeats, and the tasks that were chosen.

Everything is a function of the store and of a seed: who comes back is asked the same, and who looks ahead sees what
will be asked. Nobody is asked a pair twice but by a repeat, and a pair that has enough votes is asked no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from dina_lrm.data.votes.records import CollectionSettings, Pair, Vote
from dina_lrm.data.votes.shares import VALUES
from dina_lrm.data.votes.store import VoteStore

_EARLY: Final = 0.5
"""Share of controls until an annotator has answered enough of them for votes to count."""
_APART: Final = 10
"""Votes between a pair and its repeat."""


@dataclass(frozen=True)
class _Known:
    """What an annotator and the others have answered."""

    settings: CollectionSettings
    tasks: list[Pair]
    controls: list[Pair]
    done: set[str]
    """Pairs on which this annotator has answered every question."""
    repeated: set[str]
    """Pairs that were asked this annotator again."""
    counts: dict[str, int]
    """Annotators that answered each pair."""
    decided: list[str]
    """Tasks that this annotator decided, in the order in which they did."""
    votes: int


def next_pairs(
    store: VoteStore, annotator: int, number: int = 1, queue: Sequence[str] = (), seed: int = 0
) -> list[Pair]:
    """The pairs that an annotator is to be asked next, `number` of them or all that are left.

    `queue` holds ids of tasks in the order in which they were chosen (`choice.ways`); what it lacks, or no longer holds
    as it was answered, comes in the order of a coin. The pair of a repeat is made in the store.
    """
    known = _known(store, annotator)
    asked: list[Pair] = []
    for ahead in range(number):
        coin = Random(f"{seed}, {annotator}, {known.votes + ahead}")
        pair = _next(store, known, {one.id for one in asked}, queue, coin)
        if pair is None:
            break
        asked.append(pair)
    return asked


def open_tasks(store: VoteStore, annotator: int) -> list[Pair]:
    """The tasks that may still be asked of an annotator: what a way of choosing chooses from."""
    known = _known(store, annotator)
    return _open(known, set())


def _next(store: VoteStore, known: _Known, asked: set[str], queue: Sequence[str], coin: Random) -> Pair | None:
    controls = [pair for pair in known.controls if pair.id not in known.done | asked]
    answered = len(known.controls) - len(controls)
    share = _EARLY if answered < known.settings.first_controls else known.settings.control_share
    drawn, again = coin.random(), coin.random()
    tasks = _open(known, asked)
    if controls and (drawn < share or not tasks):
        return coin.choice(controls)
    old = [id for id in known.decided[:-_APART] if id not in known.repeated and f"{id}-again" not in asked]
    if old and again < known.settings.repeat_share:
        return store.repeat(coin.choice(old))
    by_id = {pair.id: pair for pair in tasks}
    first = next((by_id[id] for id in queue if id in by_id), None)
    return first or (coin.choice(tasks) if tasks else None)


def _open(known: _Known, asked: set[str]) -> list[Pair]:
    """Tasks that this annotator has not answered, and that have not enough votes."""
    most = known.settings.votes_a_pair
    return [pair for pair in known.tasks if pair.id not in known.done | asked and known.counts[pair.id] < most]


def _known(store: VoteStore, annotator: int) -> _Known:
    settings, pairs, votes = store.settings, store.pairs(), store.votes()
    own = [vote for vote in votes if vote.annotator == annotator]
    answers: dict[str, set[str]] = defaultdict(set)
    for vote in own:
        answers[vote.pair].add(vote.question)
    people: dict[str, set[int]] = defaultdict(set)
    for vote in votes:
        if vote.answer != "skip":
            people[vote.pair].add(vote.annotator)
    questions = {one.id for one in settings.questions}
    return _Known(
        settings,
        [pair for pair in pairs if pair.kind == "task"],
        [pair for pair in pairs if pair.kind == "control"],
        {id for id, given in answers.items() if questions <= given},
        {pair.repeats for pair in pairs if pair.repeats is not None and pair.id in answers},
        defaultdict(int, {id: len(who) for id, who in people.items()}),
        _decided(own, {pair.id for pair in pairs if pair.kind == "task"}),
        len({vote.pair for vote in own}),
    )


def _decided(own: Sequence[Vote], tasks: set[str]) -> list[str]:
    return list(dict.fromkeys(vote.pair for vote in own if vote.pair in tasks and vote.answer in VALUES))
