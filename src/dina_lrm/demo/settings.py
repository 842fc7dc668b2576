"""What a demonstration does, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dina_lrm.typed import DinaError

KIND: Final = "demonstration"
"""What the marker of its folder says."""
MODELS: Final = {"ours": "synthetic", "random_backbone": "synthetic-random", "frozen": "synthetic-frozen"}
"""Name in the results to recipe."""
ENSEMBLES: Final = ((0.1, 0.2, 0.4),)
"""Read off the first model only."""


@dataclass(frozen=True)
class DemoSettings:
    """Sizes of the demonstration; the defaults take three to seven minutes on two cores."""

    seed: int = 0
    """Seed of the data, the models and the scores."""
    prompts: int = 2_000
    """Training prompts, eight pictures each, all 28 pairs judged."""
    pairs: int = 1_000
    """Pairs of each test set."""
    steps: int = 500
    """Training steps of each model."""
    updates: int = 16
    """Updates of the alignment."""
    looked_at: int = 96
    """Prompts that the generator is looked at with, before and after the alignment."""

    def check(self) -> None:
        """Raise DinaError for numbers out of range."""
        for name, least in (("prompts", 100), ("pairs", 50), ("steps", 1), ("updates", 1), ("looked_at", 2)):
            if getattr(self, name) < least:
                raise DinaError(f"--{name.replace('_', '-')}: got {getattr(self, name)}; accepted: at least {least}")
