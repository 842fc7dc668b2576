"""Options of `dina-lrm vote`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from dina_lrm.collecting.settings import VoteSettings
from dina_lrm.console.common import CommonArguments


@dataclass
class Arguments(CommonArguments):
    """Vote on the pictures of a folder in a browser, two at a time; a reward model is then trained on it.

    Example:
        dina-lrm vote photos --prompt "a photograph of a landscape"
    """

    settings: Annotated[VoteSettings, tyro.conf.arg(name="")]

    def check(self) -> None:
        """Refuse a folder that is not there, and a file that cannot be written."""
        self.settings.check()
