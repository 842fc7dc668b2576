"""The command line `dina-lrm`, also `python -m dina_lrm`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from dina_lrm.cli.commands import COMMANDS
from dina_lrm.console.command import Command
from dina_lrm.console.run import run


def main(arguments: Sequence[str] | None = None, commands: Mapping[str, Command] = COMMANDS) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed, 2 bad input."""
    return run(sys.argv[1:] if arguments is None else arguments, commands)
