"""What a store of votes holds, as plain frozen records."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from dina_lrm.data.comparison import check_text
from dina_lrm.typed import DinaError, require

Side = Literal["a", "b"]
Answer = Literal["a", "b", "tie", "both_bad", "skip"]
"""What an annotator said: the picture that is better, neither, neither is any good, or nothing."""
Kind = Literal["task", "control", "repeat"]
"""Why a pair is asked: to learn from, to know who answers with care (its answer is known), or to be asked again."""
ANSWERS: Final[tuple[str, ...]] = get_args(Answer)
UNDONE: Final = "undo"
"""Stands in the place of an answer where a vote was taken back."""
MAX_NAME: Final = 200
"""Letters of a client's id, of an annotator's name, of a question's id."""
MAX_TEXT: Final = 20_000
"""Letters of a prompt, and of a reason."""


def check_short(where: str, given: str, longest: int = MAX_NAME) -> None:
    """Raise DinaError for a text that is empty, too long, or that no database takes."""
    if not given.strip() or len(given) > longest:
        raise DinaError(f"{where}: {given!r:.80} ({len(given)} letters); accepted: a text of 1 to {longest} letters")
    check_text(where, given)


@dataclass(frozen=True)
class Question:
    """One thing that is asked of each pair, such as which picture follows its prompt better."""

    id: str
    text: str

    def __post_init__(self) -> None:
        check_short("question", self.id)
        check_short(f"question {self.id}", self.text, MAX_TEXT)


OVERALL: Final = Question("overall", "Which picture is better?")


@dataclass(frozen=True)
class CollectionSettings:
    """How a collection asks and how it trusts; stored in its file, so that whoever reads the votes reads this too."""

    questions: tuple[Question, ...] = (OVERALL,)
    """What is asked of each pair. The first one is what a model is trained on unless another is named."""
    control_share: float = 0.1
    """Share of what is asked that are controls, where there are any."""
    first_controls: int = 10
    """Controls that an annotator has to have answered before their votes count, where there are any."""
    right_share: float = 0.8
    """Share of the controls that has to be right for votes to count."""
    repeat_share: float = 0.05
    """Share of what is asked that was asked of the same annotator before."""
    random_share: float = 0.2
    """Share of the tasks that is drawn at random whatever chooses the others: only these measure anything."""
    votes_a_pair: int = 3
    """Votes of different annotators after which a pair is not asked again."""
    fastest_ms: int = 800
    """A vote in less time, in milliseconds, counts nothing."""

    def __post_init__(self) -> None:
        require(bool(self.questions), "questions", self.questions, "at least one")
        names = [one.id for one in self.questions]
        require(len(set(names)) == len(names), "questions", names, "ids that differ")
        for name in ("control_share", "right_share", "repeat_share", "random_share"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a share from 0 to 1")
        for name, least in (("first_controls", 0), ("votes_a_pair", 1), ("fastest_ms", 0)):
            require(getattr(self, name) >= least, name, getattr(self, name), f"a whole number of at least {least}")


@dataclass(frozen=True)
class NewPair:
    """Two pictures of one prompt that are to be asked about; which of them is named first means nothing.

    A picture is a path or the bytes of an image file. `better` says which of the two it must be, for a control alone.
    `chosen_by` says how the pair was chosen ("random", "margin", "eig"), `eig` how many bits a vote on it was expected
    to tell; `source` where it is from. Repeats are made by `VoteStore.repeat`.
    """

    prompt: str
    first: Path | bytes
    second: Path | bytes
    kind: Literal["task", "control"] = "task"
    better: Literal["first", "second"] | None = None
    source: str | None = None
    chosen_by: str | None = None
    eig: float | None = None

    def __post_init__(self) -> None:
        check_short("prompt", self.prompt, MAX_TEXT)
        require(self.kind in ("task", "control"), "kind", self.kind, "task, control")
        require((self.better is not None) == (self.kind == "control"), "better", self.better, "given with a control")
        require(self.better in (None, "first", "second"), "better", self.better, "first, second")
        finite = self.eig is None or math.isfinite(self.eig)
        require(finite, "eig", self.eig, "a finite number of bits")
        for name in ("source", "chosen_by"):
            if getattr(self, name) is not None:
                check_short(name, getattr(self, name))


@dataclass(frozen=True)
class Pair:
    """A pair as it is stored: `image_a` and `image_b` are pictures by content, in an order that a hash decides."""

    id: str
    prompt: str
    image_a: str
    image_b: str
    kind: Kind
    truth: Side | None
    repeats: str | None
    source: str | None
    chosen_by: str | None
    eig: float | None
    at: float
    """When it was added, in seconds since 1970."""


@dataclass(frozen=True)
class NewVote:
    """What an annotator answered to a question on a pair.

    `left` is the picture that stood on the left; `client_id` is drawn by who sends the vote, one for each: sent twice,
    it is recorded once. `ms` is the time between the pictures being shown and the answer.
    """

    pair: str
    annotator: int
    answer: Answer
    left: Side
    client_id: str
    question: str = OVERALL.id
    ms: int | None = None
    screen: str | None = None
    reason: str | None = None
    at: float | None = None
    """When it was given, in seconds since 1970; None: now."""

    def __post_init__(self) -> None:
        require(self.answer in ANSWERS, "answer", self.answer, ", ".join(ANSWERS))
        require(self.left in ("a", "b"), "left", self.left, "a, b")
        check_short("client_id", self.client_id)
        wrong = self.ms is not None and not 0 <= self.ms < 2**53
        require(not wrong, "ms", self.ms, "a whole number of milliseconds from 0")
        for name, longest in (("screen", MAX_NAME), ("reason", MAX_TEXT)):
            if getattr(self, name) is not None:
                check_short(name, getattr(self, name), longest)


@dataclass(frozen=True)
class Vote:
    """A vote as it is stored; `id` counts up in the order in which votes were recorded."""

    id: int
    pair: str
    annotator: int
    question: str
    answer: str
    """One of `ANSWERS`, or `UNDONE` in the log of all rows."""
    left: Side
    ms: int | None
    at: float
    screen: str | None
    reason: str | None
    client_id: str
    corrects: int | None
    """The vote that this row stands in the place of, or takes back."""


@dataclass(frozen=True)
class Annotator:
    """Somebody who answers, known by a salted hash of the name they gave."""

    id: int
    salt_hash: str
    joined: float


class Recorded(NamedTuple):
    """What became of a vote: `new` is False for one that was recorded before, and has changed nothing."""

    id: int
    new: bool


@dataclass(frozen=True)
class Added:
    """What became of pairs: `new + known + refused` are all that were given."""

    new: tuple[str, ...]
    """Ids of the pairs that were added."""
    known: int
    """Pairs that the store held already, or that were given twice."""
    refused: tuple[str, ...]
    """Why pairs were not added, a sentence for each."""

    def told(self) -> str:
        """The numbers as a sentence, with the first reason."""
        why = f" (such as {self.refused[0]})" if self.refused else ""
        return f"{len(self.new)} pairs added, {self.known} known already, {len(self.refused)} refused{why}"
