"""What a comparison says of several questions, by the name of each: P(a preferred) in [0, 1].

A name is that of a score that learns it. The plain preference of a comparison that says nothing by name is about the
score "overall"; one that does says all of it by name, the overall verdict too where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np

from dina_lrm.heads.names import OVERALL, check_name
from dina_lrm.typed import DinaError

Named = tuple[tuple[str, float], ...]


def named_preferences(value: object, where: str) -> Named:
    """A mapping, pairs, or the JSON text of an object, as sorted pairs of name and number; what is None is left out.

    Raises ValueError for a name that no score may have, and for a number outside [0, 1].
    """
    if value is None or value in ("", ()):
        return ()
    if isinstance(value, str):
        value = _from_text(value, where)
    if isinstance(value, Mapping):
        value = value.items()
    if not isinstance(value, Iterable):
        raise DinaError(f"{where} is {value!r:.80}; accepted: an object of names and numbers in [0, 1]")
    found: dict[str, float] = {}
    for pair in value:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DinaError(f"{where} holds {pair!r:.80}; accepted: names and numbers in [0, 1]")
        name, number = check_name(where, pair[0]), pair[1]
        if number is not None:
            found[name] = _share(number, f"{where}.{name}")
    return tuple(sorted(found.items()))


def as_text(preferences: Named) -> str | None:
    """The JSON text that `named_preferences` reads back; None where nothing is said by name."""
    return json.dumps(dict(preferences)) if preferences else None


def told_by_name(text: str | None, plain: float) -> Mapping[str, float]:
    """What a comparison says of each score: `text` as `as_text` wrote it, or its plain preference as "overall"."""
    return {OVERALL: plain} if text is None else {str(name): float(value) for name, value in json.loads(text).items()}


def _from_text(text: str, where: str) -> object:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DinaError(f"{where} is {text!r:.80}; accepted: the JSON text of an object") from error
    if not isinstance(found, Mapping):
        raise DinaError(f"{where} is {text!r:.80}; accepted: the JSON text of an object")
    return found


def _share(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise DinaError(f"{where} is {value!r:.80}; accepted: a number in [0, 1]")
    if not 0.0 <= float(value) <= 1.0:
        raise DinaError(f"{where} is {value!r}; accepted: P(image_a preferred), a number in [0, 1]")
    return float(value)
