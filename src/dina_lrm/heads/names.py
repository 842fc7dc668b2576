"""The names of a head's scores. Nothing here imports torch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from dina_lrm.typed import DinaError

ONLY: Final = "score"
"""What the score of a model is called that gives a single one without a name."""
OVERALL: Final = "overall"
"""The score that a comparison's plain preference is about, where nothing is said by name."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
ACCEPTED: Final = "a letter, then up to 39 of letters, digits, '_' and '-'"
MOST: Final = 32


def is_name(name: str) -> bool:
    """Whether a score may be called so."""
    return _NAME.fullmatch(name) is not None


def check_name(where: str, name: object) -> str:
    """A name of a score; ValueError for anything else, since it stands in addresses, tables and files."""
    if not isinstance(name, str) or not is_name(name):
        raise DinaError(f"{where}: a score called {name!r:.60}; accepted: {ACCEPTED}")
    return name


def check_names(where: str, names: Sequence[str]) -> None:
    """Raise ValueError for a name that is none, one that is there twice, or too many."""
    for name in names:
        check_name(where, name)
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise DinaError(f"{where}: {twice[0]!r} is there twice; accepted: a name for each score")
    if len(names) > MOST:
        raise DinaError(f"{where}: {len(names)} scores; accepted: at most {MOST}")


def check_known(where: str, name: str, names: Sequence[str]) -> None:
    """Raise ValueError for a name that is none of `names`."""
    if name not in names:
        raise DinaError(f"{where}: {name!r:.60}; accepted: {', '.join(names)}")


def parsed_weights(where: str, text: str) -> dict[str, float]:
    """Weights of scores by name, written alignment:0.7,quality:0.3. ValueError for anything else."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition(":")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or name in found:
            raise DinaError(f"{where}: {text!r:.80}; accepted: NAME, or NAME:NUMBER,... with each name once")
        found[check_name(where, name)] = value
    return found
