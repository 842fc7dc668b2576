"""HTTP as the server speaks it: heads arrive in bounded time and size, and what is no HTTP has a typed answer too."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final, cast, final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from dina_lrm.serving.http.refusals import refusal
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request

MOST_HEAD_BYTES: Final = 1 << 16
"""Bytes of the lines before a body."""


@final
class Wire(H11Protocol):
    """A connection, which is hung up on where nobody is answered and a request does not come within `head_seconds`.

    What is no HTTP is refused as requests of `path` are. uvicorn itself waits for ever for the first request, for one
    that was begun, and for the rest of a body that was refused.
    """

    def __init__(self, limits: Limits, path: str = "/", **given: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(**given)
        self._limits, self._path = limits, path
        self._impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(cast(asyncio.Transport, transport))  # those of other loops are no subclass of it
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and wait on where they were no whole head."""
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for the rest of a body that was refused, or of a head; uvicorn itself waits for other requests."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._calm()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and hang up."""
        self._refuse(bad_request("bad_http", f"{msg} accepted: HTTP/1.1, at most {MOST_HEAD_BYTES} bytes of headers"))

    def _wait(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._calm()
        elif self._impatience is None and not self.transport.is_closing():
            self._impatience = self.loop.call_later(self._limits.head_seconds, self._hang_up)

    def _calm(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _hang_up(self) -> None:
        self._impatience = None
        if self.conn.trailing_data[0]:  # a head that was begun
            seconds = f"{self._limits.head_seconds:g} s"
            self._refuse(Problem(408, "too_slow", f"no request within {seconds}; accepted: a whole head"))
        self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.transport.is_closing():
            told = refusal(problem, self._path, {"connection": "close"})
            phrase = HTTPStatus(problem.status).phrase.encode()
            answer = h11.Response(status_code=problem.status, headers=told.raw_headers, reason=phrase)
            for event in (answer, h11.Data(data=bytes(told.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
