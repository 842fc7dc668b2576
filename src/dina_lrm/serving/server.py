"""Runs the server: ready, asked, and ended so that what waits is still answered."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast, final

import uvicorn

from dina_lrm.runs.processes import resident_bytes
from dina_lrm.serving.app import make_app, make_pickle_app
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.http.listening import address_of
from dina_lrm.serving.http.refusals import PICKLES
from dina_lrm.serving.http.wire import MOST_HEAD_BYTES, Wire
from dina_lrm.serving.routes.desk import Desk
from dina_lrm.serving.settings import ServerSettings

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@final
class _Server(uvicorn.Server):
    """Listens at one port; signals are for all ports together."""

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


def run_server(
    engine: Engine, settings: ServerSettings, told: Callable[[str], None], listening: Sequence[socket.socket]
) -> None:
    """Answer with the models of an engine until SIGINT or SIGTERM.

    `listening` has the socket of the routes, and behind it that of pickles where the settings have a port for them.
    """
    app = make_app(engine, token=settings.token(), pickles=settings.pickles)
    desk: Desk = app.state.desk
    place = address_of(settings, *listening[0].getsockname()[:2])
    servers = [_Server(_config(app, settings), lambda: told(f"ready at {place} ({_memory(engine)})"))]
    for each in listening[1:]:
        pickles, door = address_of(settings, *each.getsockname()[:2]), make_pickle_app(desk, settings.token())
        config = _config(door, settings, PICKLES)
        servers.insert(0, _Server(config, partial(told, f"pickles at {pickles}")))
    asyncio.run(_answer(servers, [*reversed(listening)], desk))
    told("ended; all that waited was answered")


async def _answer(servers: Sequence[_Server], listening: Sequence[socket.socket], desk: Desk) -> None:
    """Ends at a signal: first nothing more is taken, then what waits is answered."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        desk.draining = True
        for server in servers:
            server.should_exit = True

    for number in SIGNALS:
        loop.add_signal_handler(number, end)
    try:
        pairs = zip(servers, listening, strict=True)
        await asyncio.gather(*(server.serve(sockets=[each]) for server, each in pairs))
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        await desk.engine.close()


def _memory(engine: Engine) -> str:
    weights, whole = (f"{count / 2**20:,.0f} MiB" for count in (engine.weight_bytes(), resident_bytes()))
    return f"{weights} of weights, {whole} of main memory in all"


def _config(app: Any, settings: ServerSettings, path: str = "/") -> uvicorn.Config:  # noqa: ANN401 - an ASGI app
    """What is no HTTP is refused as requests of this path are."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(settings.longest_deadline) + 5,
        http=cast(type[asyncio.Protocol], partial(Wire, settings.limits, path)),
        ws="none",
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        server_header=False,
    )
