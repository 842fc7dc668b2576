"""What the page sends, checked: votes, and votes that are taken back, each with an id of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dina_lrm.data.votes import NewVote
from dina_lrm.data.votes.records import ANSWERS, Answer, Side
from dina_lrm.typed import DinaError

SHOWN: Final = ("left", "right")
"""The two pictures as the page calls them."""
SAID: Final = (*SHOWN, *(answer for answer in ANSWERS if answer not in ("a", "b")))
"""What the page may answer."""
MOST_EVENTS: Final = 64
"""Events of one request."""


@dataclass(frozen=True)
class Cast:
    """A vote as the page sends it: `answer` is about sides, `left` says which picture stood there."""

    client_id: str
    pair: str
    question: str
    left: Side
    answer: str
    ms: int | None
    at: float | None
    screen: str | None
    reason: str | None

    def vote(self, annotator: int) -> NewVote:
        """The vote as it is stored, about pictures. Raises DinaError for values that no vote has."""
        right: Side = "b" if self.left == "a" else "a"
        answer: Any = {"left": self.left, "right": right}.get(self.answer, self.answer)
        said: Answer = answer
        given = (self.client_id, self.question, self.ms, self.screen, self.reason, self.at)
        return NewVote(self.pair, annotator, said, self.left, *given)


@dataclass(frozen=True)
class TakenBack:
    """That the vote which came with the id `of` is taken back."""

    client_id: str
    of: str


def shown_answer(answer: str, left: Side) -> str:
    """A stored answer as the page calls it."""
    return answer if answer not in ("a", "b") else SHOWN[0] if answer == left else SHOWN[1]


def event_of(given: object) -> Cast | TakenBack:
    """One event of a request. Raises DinaError for anything else."""
    if not isinstance(given, Mapping):
        raise DinaError("event: no object; accepted: a vote, or one that is taken back")
    kind, client_id = given.get("kind"), _text(given, "client_id")
    if kind == "undo":
        return TakenBack(client_id, _text(given, "of"))
    if kind != "vote":
        raise DinaError(f"kind {kind!r:.40}; accepted: vote, undo")
    left, answer = given.get("side"), given.get("answer")
    if left not in ("a", "b"):
        raise DinaError(f"side {left!r:.40}; accepted: a, b")
    if answer not in SAID:
        raise DinaError(f"answer {answer!r:.40}; accepted: {', '.join(SAID)}")
    said = (_text(given, "pair"), _text(given, "question"), left, answer)
    ms = _optional(given, "ms", lambda value: isinstance(value, int) and not isinstance(value, bool))
    return Cast(client_id, *said, ms, _moment(given), _short(given, "screen"), _short(given, "reason"))


def asked_of(given: object) -> set[tuple[str, str]]:
    """What a page holds already, as PAIR/QUESTION. Raises DinaError for anything else."""
    if not isinstance(given, list) or len(given) > 1000 or not all(isinstance(one, str) for one in given):
        raise DinaError("holding: no list of texts; accepted: a list of PAIR/QUESTION")
    parts = (one.partition("/") for one in given)
    return {(pair, question) for pair, _, question in parts}


def _text(given: Mapping[Any, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise DinaError(f"{name} {value!r:.40}; accepted: text")
    return value


def _short(given: Mapping[Any, Any], name: str) -> str | None:
    found = _optional(given, name, lambda value: isinstance(value, str))
    return found[:200] if found and found.strip() else None


def _optional(given: Mapping[Any, Any], name: str, fits: Callable[[object], bool]) -> Any:  # noqa: ANN401 - as checked
    value = given.get(name)
    if value is not None and not fits(value):
        raise DinaError(f"{name} {value!r:.40}; accepted: a value of its kind, or null")
    return value


def _moment(given: Mapping[Any, Any]) -> float | None:
    """Seconds since 1970 of a time as browsers write it; None for none, and for one that is none."""
    value = _short(given, "at")
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
