"""`dina-lrm integrate`: how a reward goes into a trainer."""

from __future__ import annotations

from dina_lrm.cli.arguments.integrate import Arguments
from dina_lrm.console.common import console
from dina_lrm.integrations.shown import integrate


def run(arguments: Arguments) -> dict[str, object]:
    """Show the trainers, or the files of one."""
    shown = integrate(arguments.settings)
    for line in shown.lines():
        console(arguments.quiet).print(line)
    return shown.to_dict()
