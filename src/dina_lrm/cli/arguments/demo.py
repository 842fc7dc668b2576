"""The options of `dina-lrm demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dina_lrm.console.common import CommonArguments, WritesToOut
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
    settings: Annotated[DemoSettings, tyro.conf.arg(name="")] = DemoSettings()  # noqa: RUF009 - it is frozen

    def check(self) -> None:
        """Refuse numbers out of range, and a folder in the way."""
        self.settings.check()
        check_folder("--out", self.out)
        check_replaceable(self.out, KIND)
