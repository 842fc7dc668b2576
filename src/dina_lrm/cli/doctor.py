"""`dina-lrm doctor`: what is installed, what the hardware prefers, and whether the bundled model scores right."""

from __future__ import annotations

from dina_lrm.cli.arguments.doctor import Arguments
from dina_lrm.console.common import CommandFailed, console
from dina_lrm.profiling.installation import check_golden, installation, missing_files


def run(arguments: Arguments) -> dict[str, object]:
    """Print the report; raises CommandFailed when the bundled model is absent or scores otherwise than it should."""
    screen = console(arguments.quiet)
    here = installation()
    found = here.to_dict()
    for line in here.lines():
        screen.print(line)
    absent = missing_files()
    if absent:
        raise CommandFailed(f"the bundled world is not complete, missing: {', '.join(absent)}", found)
    check = check_golden()
    found["bundled"] = check.to_dict()
    if not check.passed:
        text = f"the bundled model scores {check.scores}, expected {check.golden} to {check.tolerance:g}"
        raise CommandFailed(f"{text}; a library of this installation computes something else", found)
    screen.print(
        f"bundled model: {len(check.scores)} golden scores met to {check.largest_difference:.1e} "
        f"(tolerance {check.tolerance:g})"
    )
    return found
