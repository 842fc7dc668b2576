"""Which numbers a setting accepts, said where the setting is declared and checked when it is read.

@dataclass(frozen=True)
class OptimizerSettings:
lr: float = ranged(5e-5, ABOVE_0)

def __post_init__(self) -> None:
check_ranges(self, "optimizer")      # ValueError: optimizer.lr: got nan; accepted: a finite number above 0
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

from dina_lrm.typed import require

Value = TypeVar("Value")
_KEY: Final = "range"


@dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`; `open_low` and `open_high` leave the bound itself out."""

    words: str
    low: float | int = -math.inf
    high: float | int = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float | int) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below


FINITE: Final = Range("a finite number")
ABOVE_0: Final = Range("a finite number above 0", 0, open_low=True)
NOT_NEGATIVE: Final = Range("a finite number of at least 0", 0)
UNIT: Final = Range("a number in [0, 1]", 0, 1)
UNIT_BELOW_1: Final = Range("a number in [0, 1)", 0, 1, open_high=True)
UNIT_ABOVE_0: Final = Range("a number in (0, 1]", 0, 1, open_low=True)
COUNT: Final = Range("an integer of at least 1", 1)
COUNT_OR_0: Final = Range("an integer of at least 0", 0)
SEED: Final = Range("an integer of at least 0, below 2^63", 0, 2**63, open_high=True)


def ranged(default: Value, accepted: Range) -> Value:
    """A field of a dataclass with its default and the numbers that it accepts; None and names are not numbers."""
    return field(default=default, metadata={_KEY: accepted})


def check_ranges(settings: Any, where: str = "") -> None:  # noqa: ANN401 - any dataclass
    """Raise ValueError naming the first field whose value, or one of whose values, is not accepted."""
    for each in fields(settings):
        accepted, value = each.metadata.get(_KEY), getattr(settings, each.name)
        if accepted is not None:
            name = f"{where}.{each.name}" if where else each.name
            require(all(_is_accepted(one, accepted) for one in _numbers(value)), name, value, accepted.words)


def _numbers(value: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of any field
    if isinstance(value, tuple):
        return value
    return () if value is None or isinstance(value, str | bool) else (value,)


def _is_accepted(value: Any, accepted: Range) -> bool:  # noqa: ANN401 - of any field
    return value in accepted
