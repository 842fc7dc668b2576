"""`dina-lrm data check`: what a comparison file holds, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict

from dina_lrm.cli.arguments.data_check import Arguments
from dina_lrm.cli.comparisons import say_left_out, source_of
from dina_lrm.console.common import CommandFailed, console, progress
from dina_lrm.data.named_source import named_source
from dina_lrm.data.problem_list import check_problem_list, problem_list, write_problems
from dina_lrm.screen import table_of


def run(arguments: Arguments) -> dict[str, object]:
    """Check, list the problems, show a table."""
    source = source_of(arguments, named_source(arguments.source, arguments.path))
    title, target = source.title, arguments.problems or problem_list(source)
    check_problem_list("--problems", target)
    with progress("checking", arguments.quiet, "comparison") as show:
        report = source.check(show)
    if report.problems or arguments.problems is not None or target.exists():
        write_problems(target, report.problems)
    shown, unread = console(arguments.quiet), source.tables_left_out()
    shown.print(table_of(("", ""), list(report.facts().items()), title))
    say_left_out(unread, shown)
    result = asdict(report) | {
        "source": source.source,
        "split": source.chosen_split,
        "path": source.path,
        "tables_left_out": unread,
        "problems": report.counts,
        "problems_file": target if report.problems else None,
    }
    message = report.verdict(title, target)
    if message is not None and (arguments.strict or report.refused):
        raise CommandFailed(message, result)
    if message is not None:
        shown.print(message)
    return result
