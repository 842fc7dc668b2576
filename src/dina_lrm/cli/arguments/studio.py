"""Options of `dina-lrm studio`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from dina_lrm.console.common import CommonArguments
from dina_lrm.console.options import DeviceOptions
from dina_lrm.studio.settings import StudioSettings


@dataclass
class Arguments(DeviceOptions, CommonArguments):
    """Look at scores in a browser: why a picture has one, and whether a generator is tuned to a reward's faults.

    Example:
        dina-lrm studio --model runs/taste/model --port 7860
    """

    settings: Annotated[StudioSettings, tyro.conf.arg(name="")]

    def check(self) -> None:
        """Refuse settings that could not run."""
        self.settings.check()
