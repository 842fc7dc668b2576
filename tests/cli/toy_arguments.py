"""The options of a command that can end in every way a command can end."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from dina_lrm.console.common import CommonArguments, UserError


@dataclass
class Arguments(CommonArguments):
    """Do a toy's work.

    Example:
        dina-lrm toy 3 --end well
    """

    number: tyro.conf.Positional[float]
    """What to square."""
    end: Annotated[
        Literal["well", "failed", "bug", "bad", "missing", "interrupt", "odd"], tyro.conf.arg(help="how to end")
    ] = "well"

    def check(self):
        if self.end == "odd":
            raise UserError("--end odd: refused before the work is imported")
