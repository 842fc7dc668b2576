"""A vote as another program wrote it, and how it comes into a store: once, however often it is imported."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dina_lrm.data.votes.records import Answer, NewPair, NewVote, Side
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.typed import DinaError

Said = Literal["first", "second", "tie", "both_bad", "skip"]


@dataclass(frozen=True)
class GivenVote:
    """One answer about two pictures, the first of which stood on the left; `key` tells it from all others."""

    prompt: str
    first: Path | bytes
    second: Path | bytes
    said: Said
    annotator: str
    key: str
    ms: int | None = None
    at: float | None = None
    better: Literal["first", "second"] | None = None
    """The known answer, where the pair is a control."""


@dataclass(frozen=True)
class LeftOut:
    """What a file holds that is no vote, and why."""

    reason: str


@dataclass(frozen=True)
class Imported:
    """What became of a file: `recorded`, `known` and what was left out are all that was read."""

    read: int
    recorded: int
    known: int
    left_out: Counter[str] = field(default_factory=Counter)

    def told(self) -> str:
        """The numbers as a sentence."""
        apart = ", ".join(f"{count} {why}" for why, count in self.left_out.most_common())
        told = (
            f"{self.read} read: {self.recorded} recorded, {self.known} known already, {self.left_out.total()} left out"
        )
        return told + (f" ({apart})" if apart else "")


def import_votes(
    store: VoteStore, given: Iterable[GivenVote | LeftOut], source: str, question: str | None = None
) -> Imported:
    """Bring votes into a store, pictures by their paths; a vote that was imported before changes nothing.

    Votes whose pictures cannot be read are left out and counted. `question` is by default the store's first. Raises
    DinaError for a question that the store does not ask.
    """
    asked = question or store.settings.questions[0].id
    left_out: Counter[str] = Counter()
    read = recorded = known = 0
    places: dict[tuple[object, ...], tuple[str, Side] | str] = {}
    for one in given:
        read += 1
        if isinstance(one, LeftOut):
            left_out[one.reason] += 1
            continue
        key = (one.prompt, one.first, one.second, one.better)
        if key not in places:
            places[key] = _placed(store, one, source)
        place = places[key]
        if isinstance(place, str):
            left_out[place] += 1
            continue
        new = store.record(_vote(one, place, store.join(one.annotator), source, asked)).new
        recorded += new
        known += not new
    return Imported(read, recorded, known, left_out)


def _placed(store: VoteStore, one: GivenVote, source: str) -> tuple[str, Side] | str:
    """The pair of a vote in the store and which side its first picture is there; or why there is none."""
    kind: Literal["task", "control"] = "task" if one.better is None else "control"
    pair = NewPair(one.prompt, one.first, one.second, kind, one.better, source)
    try:
        return store.place(pair)
    except FileNotFoundError:
        return "with a picture that is not there"
    except (DinaError, OSError) as error:
        return "of a picture with itself" if "the same picture" in str(error) else "with a picture that cannot be read"


def _vote(one: GivenVote, place: tuple[str, Side], annotator: int, source: str, question: str) -> NewVote:
    pair, first = place
    second: Side = "b" if first == "a" else "a"
    answers: dict[str, Answer] = {
        "first": first, "second": second, "tie": "tie", "both_bad": "both_bad", "skip": "skip"
    }  # fmt: skip
    client = f"{source}:{hashlib.sha256(one.key.encode()).hexdigest()[:32]}"
    return NewVote(pair, annotator, answers[one.said], first, client, question, one.ms, at=one.at)
