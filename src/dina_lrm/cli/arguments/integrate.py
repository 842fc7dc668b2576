"""Options of `dina-lrm integrate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dina_lrm.console.common import CommonArguments
from dina_lrm.integrations.shown import IntegrateSettings


@dataclass
class Arguments(CommonArguments):
    """Show how a reward goes into a trainer: its plug-in and the lines of its configuration; alone, the trainers.

    Example:
        dina-lrm integrate verl-omni --out verl_omni_reward
    """

    settings: Annotated[IntegrateSettings, tyro.conf.arg(name="")] = IntegrateSettings()  # noqa: RUF009 - it is frozen

    def claims(self) -> Path | None:
        """Where the files go."""
        return self.settings.out

    def check(self) -> None:
        """Refuse a trainer that is none, and a folder in the way."""
        self.settings.check()
