"""The server of the vote page: Python's own, on this machine's own address, for as long as the session lasts."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Final

from dina_lrm.collecting.requests import VoteHandler
from dina_lrm.collecting.session import VoteSession
from dina_lrm.typed import DinaError

ADDRESS: Final = "127.0.0.1"
"""No other machine reaches the page."""


@dataclass(frozen=True)
class VoteServer:
    """A page that answers: where it is, what proves a request to be its own, and when the person has ended it."""

    url: str
    token: str
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def served(session: VoteSession, port: int = 0) -> Iterator[VoteServer]:
    """Serve the page of a session, and close it when the block ends; port 0 takes a free one.

    Raises DinaError for a port that is taken.
    """
    ended, token = threading.Event(), secrets.token_urlsafe(24)
    handler = type("BoundHandler", (VoteHandler,), {"session": session, "token": token, "end": staticmethod(ended.set)})
    try:
        server = _Server((ADDRESS, port), handler)
    except OSError as error:
        raise DinaError(f"--port {port}: {error.strerror}; accepted: another port, or 0 for any free one") from error
    chosen = server.server_address[1]
    handler.hosts = frozenset(f"{name}:{chosen}" for name in (ADDRESS, "localhost"))  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield VoteServer(f"http://{ADDRESS}:{chosen}/", token, ended)
    finally:
        session.close()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    """A browser keeps its connections open."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave a connection that broke off: the browser asks again."""
