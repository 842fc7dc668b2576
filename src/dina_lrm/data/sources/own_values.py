"""Values of our own columns, checked: an error names the column, the value given and the values accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dina_lrm.typed import DinaError

TEXT_COLUMNS: Final = ("source", "pair_id", "prompt_id")
PREFERENCE: Final = "P(image_a preferred), a number in [0, 1]: 1 where a is preferred, 0 where b is, 0.5 for a tie"


def optional_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of weight, votes, confidence, and names, in columns that are called as ours are."""
    return {
        "weight": _weight(values.get("weight")),
        "votes": _votes(values.get("votes")),
        "confidence": _optional_number(values.get("confidence"), "confidence"),
        **{name: _optional_text(values.get(name), name) for name in TEXT_COLUMNS},
    }


def text_value(value: object, name: str) -> str:
    """A text, and nothing else."""
    if not isinstance(value, str):
        raise DinaError(f"{name} is {value!r:.80}; give text")
    return value


def number_value(value: object, name: str, accepted: str) -> float:
    """A number, also as the text of one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or (isinstance(value, str) and "_" in value):
        raise DinaError(f"{name} is {value!r:.80}; give {accepted}")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise DinaError(f"{name} is {value!r:.80}; give {accepted}") from error


def _optional_text(value: object, name: str) -> str | None:
    # Identifiers are often written as numbers; an empty CSV cell means "none given".
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DinaError(f"{name} is {value!r:.80}; give text or a whole number, or leave it out")
    return str(value)


def _weight(value: object) -> float:
    # An empty cell is no weight; a NaN is one that went wrong, and must not count as 1.
    return 1.0 if value in (None, "") else number_value(value, "weight", "a finite number that is at least 0")


def _optional_number(value: object, name: str) -> float | None:
    return None if value in (None, "") else number_value(value, name, "a number in [0, 1]")


def _votes(value: object) -> int | None:
    if value in (None, ""):
        return None
    number = number_value(value, "votes", "a whole number of at least 1")
    if not number.is_integer():
        raise DinaError(f"votes is {value!r:.80}; give a whole number of at least 1")
    return int(number)
