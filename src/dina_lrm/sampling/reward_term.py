"""One reward of an objective, as plain values. Nothing here imports torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dina_lrm.rewards.addresses import without_password
from dina_lrm.runs.ranges import FINITE, UNIT, check_ranges, ranged
from dina_lrm.typed import DinaError

_OWN_VALUE: Final = re.compile(r"[?&](score|good|bad|k)$")
"""What stands before an `=` that is part of a reward's name: a score of a model, the texts of a relative reward."""


@dataclass(frozen=True)
class RewardTerm:
    """One reward of the objective, by its name in `rewards`: "latent:MODEL" or a differentiable judge of pixels."""

    name: str = "latent:synthetic"
    """Its name in `rewards`, such as "latent:MODEL", "clip" or "sharpness"."""
    weight: float = ranged(1.0, FINITE)
    """Its factor in the sum; below 0 the reward is to fall."""
    noise_level: float | tuple[float, ...] | None = ranged(None, UNIT)
    """At which a latent reward is read, or several for an ensemble; None = that stored with the model."""

    def __post_init__(self) -> None:
        check_ranges(self, f"rewards.{self.shown}")

    @property
    def shown(self) -> str:
        """Its name as it is kept and shown: without the password of a `remote:` address."""
        return without_password(self.name)


def named_term(option: str, text: str) -> RewardTerm:
    """The reward of "NAME" or "NAME=WEIGHT", as an option gave it; ValueError for a weight that is no number."""
    name, equals, weight = text.rpartition("=")
    if not equals or _OWN_VALUE.search(name):  # a value of the name itself, without a weight
        return RewardTerm(text)
    try:
        return RewardTerm(name, float(weight))
    except ValueError:
        told = f"{option} {without_password(text)}: the weight is {without_password(text).rpartition('=')[2]!r}"
        raise DinaError(f"{told}; accepted: NAME or NAME=NUMBER") from None
