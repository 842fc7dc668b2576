"""`dina-lrm vote`: votes on the pictures of a folder, in a browser."""

from __future__ import annotations

from dina_lrm.cli.arguments.vote import Arguments
from dina_lrm.collecting.job import collect_votes
from dina_lrm.console.common import console


def run(arguments: Arguments) -> dict[str, object]:
    """Say where the page is, wait for its end, and say what came of it."""
    shown = console(arguments.quiet, live=True)
    session = collect_votes(arguments.settings, shown.print)
    for line in session.told():
        shown.print(line)
    return session.to_dict()
