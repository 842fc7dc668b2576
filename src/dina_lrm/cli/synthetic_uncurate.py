"""`dina-lrm synthetic uncurate`: the LoRA of the bundled generator `synthetic-uncurated` from nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.cli.common import CommonArguments, console, progress
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.lock import held_folder
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
    """Of the pictures, the LoRA's start and the noise."""

    def __post_init__(self) -> None:
        check_ranges(self)


def run(arguments: Arguments) -> dict[str, object]:
    """Train, save, and say what was measured."""
    from dina_lrm.synthetic.pretraining.loop import Interrupted

    check_folder("--out", arguments.out)
    with held_folder(arguments.out):
        try:
            return _run(arguments)
        except Interrupted as stopped:
            console(arguments.quiet).print(str(stopped))
            return {"folder": str(arguments.out), "stopped": str(stopped)}


def _run(arguments: Arguments) -> dict[str, object]:
    from dina_lrm.synthetic.pretraining.uncurated import uncurate

    with progress("updates", arguments.quiet) as report:
        folder = uncurate(
            arguments.config, arguments.seed, arguments.out, lambda _, step, steps, loss: report(step, steps)
        )
    facts = read_json_object(folder / "facts.json")
    console(arguments.quiet).print(
        f"{folder}: alignment {facts['samples_alignment']:.2f}, quality {facts['samples_quality']:.2f} of its samples",
    )
    return {"folder": str(folder), **facts}
