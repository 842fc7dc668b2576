"""What one picture got: its score with z, and all others that a model gives by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NamedScore:
    """A raw score, and its deviations from the mean stored for it; both None where the picture has none."""

    score: float | None = None
    z: float | None = None


@dataclass(frozen=True)
class PictureScore:
    """The score that a picture is ranked by, its z where a mean is stored, and a model's scores by name."""

    score: float
    z: float | None = None
    named: Mapping[str, NamedScore] = field(default_factory=dict, hash=False)

    def fault(self) -> str | None:
        """Why it is no score: a sentence that names the first number that is not finite; None where all are."""
        for name, number in (("", self.score), *((f" {name}", one.score) for name, one in self.named.items())):
            if number is None or not math.isfinite(number):
                return f"the model's score{name} is {number}"
        return None
