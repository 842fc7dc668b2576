"""Collect votes on a folder until the person ends it."""

from __future__ import annotations

from collections.abc import Callable

from dina_lrm.collecting.server import served
from dina_lrm.collecting.session import VoteSession
from dina_lrm.collecting.settings import VoteSettings
from dina_lrm.runs.lock import one_writer
from dina_lrm.runs.stopping import stop_on_signals

_LOOKS_EVERY = 0.2
"""Seconds between looks at whether somebody ended it."""


def collect_votes(settings: VoteSettings, say: Callable[[str], None]) -> VoteSession:
    """Serve the vote page of a folder until it is ended on the page, by Ctrl-C or by SIGTERM; returns the session.

    As soon as the page answers, `say` is given what was found and where the page is, a sentence each. Every vote is in
    the file at once: whatever ends this, the same call goes on from it. Raises BusyError while another process collects
    into that file.
    """
    settings.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with one_writer(settings.out):
        session = VoteSession(settings)
        with stop_on_signals() as stop, served(session, settings.port) as server:
            for line in (*session.notes, f"vote at {server.url} (Ctrl-C ends; every vote is saved at once)"):
                say(line)
            while not stop and not server.ended.wait(_LOOKS_EVERY):
                pass
    return session
