"""Options of `dina-lrm serve`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from dina_lrm.console.common import CommonArguments
from dina_lrm.console.options import DeviceOptions
from dina_lrm.serving.settings import ServerSettings


@dataclass
class Arguments(DeviceOptions, CommonArguments):
    """Answer trainers over HTTP with scores of latents and pictures, until it is interrupted.

    Example:
        dina-lrm serve --model dina=synthetic sharp=sharpness --port 8000
    """

    settings: Annotated[ServerSettings, tyro.conf.arg(name="")]

    def check(self) -> None:
        """Refuse settings that could not run."""
        self.settings.check()
