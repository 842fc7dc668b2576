"""Runs the server: ready, asked, and ended so that what waits is still answered."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast, final

import uvicorn
from fastapi import FastAPI

from dina_lrm.serving.app import make_app
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.http.wire import MOST_HEAD_BYTES, Wire
from dina_lrm.serving.settings import ServerSettings

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@final
class _Server(uvicorn.Server):
    """Ends at a signal: first nothing more is taken, then what waits is answered, and the process ends with 0."""

    ready: Callable[[], None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals in the event loop, and do not raise them again when all is done."""
        loop = asyncio.get_running_loop()
        app: Any = self.config.app

        def end() -> None:
            app.state.desk.draining = True
            self.should_exit = True

        for number in SIGNALS:
            loop.add_signal_handler(number, end)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that requests are taken."""
        await super().startup(sockets=sockets)
        if self.ready is not None:
            self.ready()


def run_server(engine: Engine, settings: ServerSettings, told: Callable[[str], None]) -> None:
    """Listen and answer with the models of an engine until SIGINT or SIGTERM. OSError where nothing can be heard."""
    app = make_app(engine, token=settings.token(), pickles=settings.pickles)
    listening = listening_socket(settings)
    address = address_of(settings, *listening.getsockname()[:2])
    server = _Server(_config(app, settings))
    server.ready = lambda: told(f"ready at {address}")
    with listening:
        asyncio.run(server.serve(sockets=[listening]))
    told("ended; all that waited was answered")


def address_of(settings: ServerSettings, host: str, port: int) -> str:
    """The address that clients are told."""
    scheme = "http" if settings.tls_cert is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def listening_socket(settings: ServerSettings) -> socket.socket:
    """A socket at the address of the settings, at a free port where they say 0. OSError where it cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        told = f"{settings.host}:{settings.port} cannot be listened at: {error.strerror}"
        raise OSError(error.errno, told) from error
    return listening


def _config(app: FastAPI, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(settings.longest_deadline) + 5,
        http=cast(type[asyncio.Protocol], partial(Wire, settings.limits)),
        ws="none",
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        server_header=False,
    )
