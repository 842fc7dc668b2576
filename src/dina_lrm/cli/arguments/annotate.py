"""Options of `dina-lrm annotate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.console.common import CommonArguments
from dina_lrm.console.options import DeviceOptions


@dataclass
class Arguments(DeviceOptions, CommonArguments):
    """Ask people which of two pictures is better, in a browser; every vote is kept in one file.

    Examples:
        dina-lrm annotate photos
        dina-lrm annotate mine --against yours --questions overall quality
        dina-lrm annotate photos --page page.html
    """

    settings: Annotated[AnnotateSettings, tyro.conf.arg(name="")]

    def check(self) -> None:
        """Refuse what cannot be voted on, and a store that cannot be written."""
        self.settings.check()
