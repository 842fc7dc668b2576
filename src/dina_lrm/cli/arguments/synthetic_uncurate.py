"""The options of `dina-lrm synthetic uncurate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.console.common import CommonArguments
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.ranges import SEED, check_ranges, ranged
from dina_lrm.synthetic.pretraining.config import UncuratedConfig


@dataclass
class Arguments(CommonArguments):
    """Train a LoRA that makes the bundled generator draw as one that learned from uncurated pictures.

    Goes on from what `--out` holds. Eight minutes on two cores; the result is `OUT/lora`, for `--generator.lora`.

    Example:
        dina-lrm synthetic uncurate --out uncurated
    """

    out: Path
    """Folder for checkpoints and the finished LoRA."""
    config: UncuratedConfig = field(default_factory=UncuratedConfig)
    """The recipe."""
    seed: int = ranged(0, SEED)
    """Seed of the pictures, the LoRA's start and the noise."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def check(self) -> None:
        """Refuse a folder that cannot be written."""
        check_folder("--out", self.out)
