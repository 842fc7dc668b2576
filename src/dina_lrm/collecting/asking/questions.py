"""What people are asked of two pictures: one question, or several axes after each other. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Question:
    """A question by a short name, under which its votes are stored."""

    name: str
    text: str


OVERALL: Final = "overall"
KNOWN: Final = {
    OVERALL: "Which picture is better?",
    "prompt": "Which picture shows what the prompt says?",
    "quality": "Which picture is made better, whatever it shows?",
}
"""Questions that need no text of their own."""
_LONGEST: Final = (40, 200)
"""Letters of a name and of a text."""


def questions_of(given: Sequence[str]) -> tuple[Question, ...]:
    """Questions from words, each a name of `KNOWN` or NAME=TEXT.

    Raises DinaError for none, for a name that is no plain word or stands twice, and for one without a text.
    """
    found = tuple(_question(words) for words in given)
    names = [question.name for question in found]
    if not found or len(set(names)) < len(names):
        raise DinaError(f"--questions {' '.join(given) or 'nothing'}; accepted: one or more, each once")
    return found


def _question(words: str) -> Question:
    name, given, text = words.partition("=")
    text = text.strip() if given else KNOWN.get(name, "")
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum() and len(name) <= _LONGEST[0]
    if not plain or not text or len(text) > _LONGEST[1] or not text.isprintable():
        accepted = f"{', '.join(KNOWN)}, or NAME=TEXT, a name of letters and digits, a text of at most {_LONGEST[1]}"
        raise DinaError(f"--questions {words!r:.80}; accepted: {accepted}")
    return Question(name, text)
