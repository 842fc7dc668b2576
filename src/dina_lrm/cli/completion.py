"""`dina-lrm completion`: a script for a shell."""

from __future__ import annotations

from dina_lrm.cli.arguments.completion import Arguments
from dina_lrm.cli.commands import COMMANDS
from dina_lrm.console.common import console
from dina_lrm.console.completion import completed_words, script_for


def run(arguments: Arguments) -> dict[str, object]:
    """Make the script and print it."""
    script = script_for(arguments.shell, completed_words(COMMANDS))
    for line in script.splitlines():
        console(arguments.quiet).print(line)
    return {"shell": arguments.shell, "script": script}
