"""The options of `dina-lrm demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.console.common import CommonArguments, UserError, WritesToOut
from dina_lrm.demo.settings import KIND, DemoSettings
from dina_lrm.runs.ownership import check_replaceable
from dina_lrm.runs.places import check_folder


@dataclass
class Arguments(WritesToOut, CommonArguments):
    """Make comparisons, train a latent reward model and two baselines, measure them, align a generator, write a report.

    Three to seven minutes on two cores; nothing is downloaded.

    Example:
        dina-lrm demo --out demo
    """

    out: Path = Path("demo")
    """Folder for report.html, results.json, images and runs; an earlier demo that nobody changed is replaced."""
    seed: int = DemoSettings.seed
    """Seed of the data, the models and the scores."""
    prompts: int = DemoSettings.prompts
    """Training prompts, eight pictures each."""
    pairs: int = DemoSettings.pairs
    """Pairs of each test set."""
    steps: int = DemoSettings.steps
    """Training steps of each model."""
    updates: int = DemoSettings.updates
    """Updates of the alignment."""
    looked_at: int = DemoSettings.looked_at
    """Prompts that the generator is looked at with, before and after the alignment."""

    def check(self) -> None:
        """Refuse numbers out of range, and a folder in the way."""
        for name, least in (("prompts", 100), ("pairs", 50), ("steps", 1), ("updates", 1), ("looked_at", 2)):
            if getattr(self, name) < least:
                raise UserError(f"--{name.replace('_', '-')}: got {getattr(self, name)}; accepted: at least {least}")
        check_folder("--out", self.out)
        check_replaceable(self.out, KIND)
