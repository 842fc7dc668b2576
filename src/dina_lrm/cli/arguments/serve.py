"""Options of `dina-lrm serve`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import tyro

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.config import ConfigArguments, Settings
from dina_lrm.console.options import DeviceOptions
from dina_lrm.serving.settings import ServerSettings


@dataclass
class Arguments(DeviceOptions, SaysBefore, ConfigArguments):
    """Answer trainers over HTTP with scores of latents and pictures, until it is interrupted.

    Example:
        dina-lrm serve --model dina=synthetic sharp=sharpness --port 8000
    """

    recipe: Annotated[ServerSettings, tyro.conf.arg(name="")]

    @classmethod
    def recipes(cls) -> Mapping[str, Callable[[], Settings]]:
        """The one way to begin."""
        return {"serve": ServerSettings}

    def check(self) -> None:
        """Refuse settings that could not run."""
        self.recipe.check()
