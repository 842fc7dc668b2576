"""`dina-lrm vote`: votes on the pictures of a folder, in a browser."""

from __future__ import annotations

from dina_lrm.cli.arguments.vote import Arguments
from dina_lrm.collecting.job import collect_votes
from dina_lrm.collecting.server import VoteServer
from dina_lrm.collecting.session import VoteSession
from dina_lrm.console.common import console


def run(arguments: Arguments) -> dict[str, object]:
    """Say where the page is, wait for its end, and say what came of it."""
    shown = console(arguments.quiet, live=True)

    def begun(server: VoteServer, session: VoteSession) -> None:
        for line in (*session.notes, f"vote at {server.url} (Ctrl-C ends; every vote is saved at once)"):
            shown.print(line)

    session = collect_votes(arguments.settings, begun)
    for line in session.told():
        shown.print(line)
    return session.to_dict()
