"""Runs applications at sockets until a signal: ready, asked, and ended so that what waits is still answered."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, cast, final

import uvicorn
from starlette.types import ASGIApp

from dina_lrm.serving.door import Door
from dina_lrm.serving.http.wire import MOST_HEAD_BYTES, Wire
from dina_lrm.serving.limits import Limits

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@final
class Listener(uvicorn.Server):
    """Listens at one port and says when it is `ready`; signals are for all ports together."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the servers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that requests are taken."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()


def listener_config(app: ASGIApp, door: Door, limits: Limits, last_seconds: float, path: str = "/") -> uvicorn.Config:
    """How an application is listened for; what is no HTTP is refused as requests of `path` are.

    `last_seconds` is how long the last answers may take, once it is to end.
    """
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ssl_certfile=door.tls_cert,
        ssl_keyfile=door.tls_key,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(last_seconds),
        http=cast(type[asyncio.Protocol], partial(Wire, limits, path)),
        ws="none",
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        server_header=False,
    )


async def answer_until_signal(
    listeners: Sequence[Listener], listening: Sequence[socket.socket], ending: Callable[[], None]
) -> None:
    """Answer until SIGINT or SIGTERM: `ending` is called first, nothing more is taken, what waits is answered."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        ending()
        for listener in listeners:
            listener.should_exit = True

    for number in SIGNALS:
        loop.add_signal_handler(number, end)
    try:
        pairs = zip(listeners, listening, strict=True)
        await asyncio.gather(*(listener.serve(sockets=[each]) for listener, each in pairs))
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
