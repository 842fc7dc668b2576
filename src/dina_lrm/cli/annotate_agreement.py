"""`dina-lrm annotate agreement`: how far annotators agree with each other and with themselves."""

from __future__ import annotations

from dina_lrm.cli.arguments.annotate_agreement import Arguments
from dina_lrm.collecting.agreement.report import agreement_report
from dina_lrm.console.common import console
from dina_lrm.screen import table_of


def run(arguments: Arguments) -> dict[str, object]:
    """Show two tables, and what to look at."""
    report = agreement_report(arguments.file, arguments.question)
    shown = console(arguments.quiet)
    shown.print(table_of(("", ""), list(report.facts().items()), f"{arguments.file}, question {report.question}"))
    shown.print(table_of(*report.table(), "annotators"))
    for note in report.notes():
        shown.print(note)
    return report.to_dict()
