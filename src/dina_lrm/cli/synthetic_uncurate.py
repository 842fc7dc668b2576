"""`dina-lrm synthetic uncurate`: the LoRA of the bundled generator `synthetic-uncurated` from nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.cli.common import CommonArguments, console, progress
from dina_lrm.cli.places import check_folder
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
    seed: int = 0
    """Of the pictures, the LoRA's start and the noise."""


def run(arguments: Arguments) -> dict[str, object]:
    """Train, save, and say what was measured."""
    check_folder("--out", arguments.out)
    from dina_lrm.synthetic.pretraining.uncurated import uncurate

    with progress("updates", arguments.quiet) as report:
        folder = uncurate(
            arguments.config, arguments.seed, arguments.out, lambda _, step, steps, loss: report(step, steps)
        )
    facts: dict[str, object] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    console(arguments.quiet).print(
        f"{folder}: alignment {facts['samples_alignment']:.2f}, quality {facts['samples_quality']:.2f} of its samples",
    )
    return {"folder": str(folder), **facts}
