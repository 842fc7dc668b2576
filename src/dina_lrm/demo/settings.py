"""What a demonstration does, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
    prompts: int = 2_000
    """Training prompts, eight pictures each, all 28 pairs judged."""
    pairs: int = 1_000
    """Pairs of each test set."""
    steps: int = 500
    """Training steps of each model."""
    updates: int = 16
    """Updates of the alignment."""
    looked_at: int = 96
    """Prompts that the generator is looked at with, before and after."""
