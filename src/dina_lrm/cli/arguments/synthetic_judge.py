"""The options of `dina-lrm synthetic judge`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.console.common import CommonArguments
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.ranges import SEED, Range, check_ranges, ranged

_THREE = Range("an integer of at least 3", 3)


@dataclass
class Arguments(CommonArguments):
    """Train a convolutional judge of the synthetic world's pictures on pairs that the bundled reward model never saw.

    Seven minutes of one core; the result is OUT, for the reward `cnn:OUT`.

    Example:
        dina-lrm synthetic judge --prompts 200 --steps 30 --pairs 300 --out judge
    """

    out: Path
    """Folder for the weights, facts.json and the card."""
    prompts: int = ranged(6_000, _THREE)
    """Training prompts, eight pictures each."""
    steps: int = ranged(2_000, _THREE)
    """Each on all pairs of three prompts."""
    seed: int = ranged(77, SEED)
    """Seed of the training pairs; the bundled reward model has those of seed 0."""
    pairs: int = ranged(2_000, _THREE)
    """Pairs of each test set."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def check(self) -> None:
        """Refuse a folder that cannot be written."""
        check_folder("--out", self.out)
