"""The name of a reward that is a difference: `relative:REWARD?good=TEXT&bad=TEXT&k=NUMBER`. Nothing here imports torch.

Texts are percent-encoded where they hold `&` or `%`. Each stands before the prompt, or has it where it says `{prompt}`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from dina_lrm.typed import DinaError

FAMILY: Final = "relative"
_PLACE: Final = "{prompt}"
_GRAMMAR: Final = "relative:REWARD?good=TEXT&bad=TEXT, and &k=NUMBER where it is not 0"
_ASKED: Final = re.compile(r"(?P<reward>.+?)\?(?P<told>(?:good|bad|k)=.*)", re.DOTALL)


@dataclass(frozen=True)
class RelativeName:
    """What a name says: the reward that is asked twice, the two texts, and how much the good one counts more."""

    reward: str
    good: str
    bad: str
    k: float = 0.0

    @classmethod
    def of(cls, model: str) -> RelativeName:
        """Read "REWARD?good=..&bad=..&k=..", what stands behind `relative:`. ValueError, with the grammar, for else."""
        family = model.partition(":")[0]
        if family in (FAMILY, "mixture"):
            raise DinaError(f"{FAMILY}:{model}: of {family}; accepted: one reward (a mixture may hold relative ones)")
        found = _ASKED.fullmatch(model)
        if found is None:
            raise DinaError(f"{FAMILY}:{model}: no texts; accepted: {_GRAMMAR}")
        told: dict[str, str] = {}
        for part in found["told"].split("&"):
            key, equals, value = part.partition("=")
            if key not in ("good", "bad", "k") or not equals or key in told:
                raise DinaError(f"{FAMILY}:{model}: {part!r}; accepted: {_GRAMMAR}, each once")
            told[key] = unquote(value)
        if not (told.get("good", "").strip() and told.get("bad", "").strip()):
            raise DinaError(f"{FAMILY}:{model}: a text is missing or empty; accepted: {_GRAMMAR}")
        return cls(found["reward"], told["good"], told["bad"], _number(model, told.get("k", "0")))

    def good_prompt(self, prompt: str) -> str:
        """The prompt with the good text."""
        return _with(self.good, prompt)

    def bad_prompt(self, prompt: str) -> str:
        """The prompt with the bad text."""
        return _with(self.bad, prompt)


def inner_name(name: str) -> str:
    """The reward that a relative one asks; any other name as it is, and one that cannot be read too."""
    family, _, model = name.partition(":")
    found = _ASKED.fullmatch(model) if family == FAMILY else None
    return name if found is None else found["reward"]


def _with(text: str, prompt: str) -> str:
    return text.replace(_PLACE, prompt) if _PLACE in text else f"{text} {prompt}"


def _number(model: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise DinaError(f"{FAMILY}:{model}: k is {text!r}; accepted: a finite number of at least 0")
    return number
