"""Ways to read a score off a model, and the scores so read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Reading:
    """One way to read a score off a judge: a noise level, several for an ensemble, none where it has none."""

    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        outside = [level for level in self.levels if not 0 <= level <= 1]
        if outside:
            raise DinaError(f"noise levels {self.levels}; accepted: numbers in [0, 1]")

    @property
    def is_ensemble(self) -> bool:
        """Whether tokens of several noise levels are read together."""
        return len(self.levels) > 1

    @property
    def is_level(self) -> bool:
        """Whether it is a single noise level."""
        return len(self.levels) == 1

    @property
    def name(self) -> str:
        """Short text for tables: `t = 0.4`, `0.2 + 0.5 + 0.7` for an ensemble, `no noise` for a judge of pictures."""
        if not self.levels:
            return "no noise"
        text = " + ".join(f"{level:g}" for level in self.levels)
        return text if self.is_ensemble else f"t = {text}"


@dataclass(frozen=True, eq=False)
class PairScores:
    """Raw scores of both images of every pair and P(first preferred), one column a reading; NaN where missing.

    `link(margins, column)` is P(first preferred) of any margins at a reading: what a temperature is fitted with.
    """

    readings: tuple[Reading, ...]
    first: Float[np.ndarray, "pairs readings"]
    second: Float[np.ndarray, "pairs readings"]
    probability: Float[np.ndarray, "pairs readings"]
    link: Callable[[np.ndarray, int], np.ndarray]

    @property
    def margins(self) -> Float[np.ndarray, "pairs readings"]:
        """Score of the first image minus that of the second."""
        return self.first - self.second
