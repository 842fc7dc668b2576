"""The work of a command that can end in every way a command can end."""

from pathlib import Path

from dina_lrm.console.common import CommandFailed, UserError, console, progress
from tests.cli.toy_arguments import Arguments


def run(arguments: Arguments) -> dict[str, object]:
    errors = {
        "failed": CommandFailed("2 of 3 did not work", {"done": 1}),
        "bug": RuntimeError("the toy broke"),
        "bad": UserError("--number: 7 given, an even number is accepted"),
        "missing": FileNotFoundError(2, "No such file or directory", "nowhere.csv"),
        "interrupt": KeyboardInterrupt(),
    }
    with progress("squaring", arguments.quiet) as report:
        for done in range(101):
            report(done, 100)
    if arguments.end in errors:
        raise errors[arguments.end]
    console(arguments.quiet).print("squared")
    return {"square": arguments.number**2, "where": Path("here"), "lost": float("nan"), "pair": (1, None)}
