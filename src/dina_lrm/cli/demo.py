"""`dina-lrm demo`: the whole path on the bundled world."""

from __future__ import annotations

from dina_lrm.cli.arguments.demo import Arguments
from dina_lrm.console.common import console, progress
from dina_lrm.demo.run import run_demo
from dina_lrm.demo.told import accuracy_table, closing_lines
from dina_lrm.evaluation.environment import command_line


def run(arguments: Arguments) -> dict[str, object]:
    """Run the demonstration and print its table."""
    shown = console(arguments.quiet, live=True)
    with progress("training", arguments.quiet, "step") as report:
        found = run_demo(arguments.out, arguments.settings, lambda line: shown.print(line), report, command_line())
    shown.print(accuracy_table(found))
    for line in closing_lines(found, arguments.out):
        shown.print(line)
    return found
