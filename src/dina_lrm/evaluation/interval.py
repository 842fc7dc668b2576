"""An estimate with its 95 % interval, and the one way in which numbers like it are written.

    0.31 (0.13 to 0.49)      −0.02 (needs more prompts)      –

Tables, pages and terminals write both ends with the digits of the middle, a minus sign as wide as a plus, words in the
place of an interval that there is none of, and a dash in the place of a number that there is none of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dina_lrm.screen import NEEDS_PROMPTS, ends_text, interval_text, number_text

__all__ = ["NEEDS_PROMPTS", "Interval", "renamed"]


@dataclass(frozen=True)
class Interval:
    """An estimate from `n` things that were drawn (prompts, pairs, seeds), with the 95 % interval around it."""

    value: float | None
    """None where nothing could be counted."""
    low: float | None
    high: float | None
    """None where more of what is drawn is needed for an interval."""
    n: int = 0
    missing: int = 0
    """How many values could not be counted, beside those that were."""

    @property
    def span(self) -> tuple[float, float, float]:
        """Value, low and high as a plot draws them: without width where there is no interval, NaN without a value."""
        value = math.nan if self.value is None else self.value
        return (value, value, value) if self.low is None or self.high is None else (value, self.low, self.high)

    def beyond(self, neutral: float = 0.0) -> int:
        """1 where the interval is above `neutral`, -1 where it is below, 0 where it is not decided."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > neutral) - int(self.high < neutral)

    def text(self, form: str = ".2f", percent: bool = False) -> str:
        """The estimate and its interval, such as "0.31 (0.13 to 0.49)"; `percent` writes hundredths as whole numbers.

        `form` is a format of Python for each of the three numbers.
        """
        return interval_text(self.value, self.low, self.high, form, percent)

    def middle(self, form: str = ".2f", percent: bool = False) -> str:
        """The estimate alone, or a dash."""
        return number_text(self.value, form, percent)

    def ends(self, form: str = ".2f", percent: bool = False) -> str:
        """Both ends, such as "0.13 to 0.49", or that the interval needs more prompts."""
        return ends_text(self.low, self.high, form, percent)


def renamed(plain: Any, names: Mapping[str, str | None]) -> Any:  # noqa: ANN401 - walks any JSON-like tree
    """A result as plain values with other names for the parts of its intervals, at any depth; None leaves a part out.

    Files of results have names of their own for them, such as "mean" and "seeds", which their readers know.
    """
    if isinstance(plain, Mapping):
        own = names if {"low", "high"} <= plain.keys() else {}
        called = {key: own.get(key, key) for key in plain}
        return {name: renamed(plain[key], names) for key, name in called.items() if name is not None}
    return [renamed(each, names) for each in plain] if isinstance(plain, list | tuple) else plain
