"""A prompt with one thing changed: each word left out, each colour another one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

COLOURS: Final = ("red", "green", "blue", "yellow", "black", "white")
"""What a colour is changed to, but for itself."""
_NAMES: Final = frozenset(
    {*COLOURS, "pink", "cyan", "gray", "grey", "brown", "orange", "purple", "violet", "golden", "silver", "turquoise"}
)
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True)
class Edit:
    """A changed prompt: the word at a place (from 0) left out, or another colour put there."""

    kind: Literal["left out", "colour"]
    place: int
    word: str
    put: str
    text: str


def edits_of(prompt: str, most: int = 60) -> list[Edit]:
    """Every edit of the first `most` words: one a word, and one for each other colour where a word is a colour's name.

    Words are what stands between spaces; one with nothing but punctuation is no word. A prompt of one word without it
    is the empty prompt.
    """
    words = prompt.split()
    found = []
    for place, word in enumerate(words[:most]):
        if _WORD.search(word) is None:
            continue
        found.append(Edit("left out", place, word, "", _with(words, place, None)))
        core = _WORD.search(word)
        assert core is not None
        if core[0].lower() in _NAMES:
            others = (colour for colour in COLOURS if colour != core[0].lower())
            found += [
                Edit("colour", place, word, colour, _with(words, place, word.replace(core[0], colour, 1)))
                for colour in others
            ]
    return found


def _with(words: list[str], place: int, put: str | None) -> str:
    return " ".join([*words[:place], *([] if put is None else [put]), *words[place + 1 :]])
