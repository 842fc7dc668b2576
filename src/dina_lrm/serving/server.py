"""Runs the server: its routes, the door for pickles, and the end of both."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from dina_lrm.runs.processes import resident_bytes
from dina_lrm.screen import bytes_text
from dina_lrm.serving.app import make_app, make_pickle_app
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.http.listening import address_of
from dina_lrm.serving.http.refusals import PICKLES
from dina_lrm.serving.http.running import Listener, answer_until_signal, listener_config
from dina_lrm.serving.routes.desk import Desk
from dina_lrm.serving.settings import ServerSettings


def run_server(
    engine: Engine, settings: ServerSettings, told: Callable[[str], None], listening: Sequence[socket.socket]
) -> None:
    """Answer with the models of an engine until SIGINT or SIGTERM.

    `listening` has the socket of the routes, and behind it that of pickles where the settings have a port for them.
    """
    app = make_app(engine, token=settings.token(), pickles=settings.pickles)
    desk: Desk = app.state.desk
    place = address_of(settings.door, *listening[0].getsockname()[:2])
    listeners = [Listener(_config(app, settings), lambda: told(f"ready at {place} ({_memory(engine)})"))]
    for each in listening[1:]:
        pickles, door = address_of(settings.door, *each.getsockname()[:2]), make_pickle_app(desk, settings.token())
        config = _config(door, settings, PICKLES)
        listeners.insert(0, Listener(config, partial(told, f"pickles at {pickles}")))
    asyncio.run(_answer(listeners, [*reversed(listening)], desk))
    told("ended; all that waited was answered")


async def _answer(listeners: Sequence[Listener], listening: Sequence[socket.socket], desk: Desk) -> None:
    """Ends at a signal: first nothing more is taken, then what waits is answered."""

    def drain() -> None:
        desk.draining = True

    try:
        await answer_until_signal(listeners, listening, drain)
    finally:
        await desk.engine.close()


def _memory(engine: Engine) -> str:
    weights, whole = (bytes_text(count) for count in (engine.weight_bytes(), resident_bytes()))
    return f"{weights} of weights, {whole} of main memory in all"


def _config(app: ASGIApp, settings: ServerSettings, path: str = "/") -> uvicorn.Config:
    return listener_config(app, settings.door, settings.limits, settings.longest_deadline + 5, path)
