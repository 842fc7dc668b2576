"""Watches requests from outside: how they end, how long they take, and whether their client is still there."""

from __future__ import annotations

from collections.abc import MutableMapping
from time import perf_counter
from typing import Any, Final, Protocol, final, runtime_checkable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dina_lrm.serving.items import ModelScores
from dina_lrm.serving.metrics import Metrics

_TIMES: Final = "dina_lrm.times"
_BEGUN: Final = "dina_lrm.begun"


@runtime_checkable
class Watched(Protocol):
    """What keeps the counts."""

    metrics: Metrics
    busy: int


@final
class Watch:
    """Counts every answer of an application, and says in its header `server-timing` what the scores of it took.

    The header has milliseconds: `queue;dur=12.1, compute;dur=40.0`, the longest wait of an item and the time of the
    models.
    """

    def __init__(self, app: ASGIApp, counts: Watched) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = perf_counter(), 500
        scope[_BEGUN] = begun

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *_timing(scope)]}
            await send(message)

        self._counts.busy += 1
        try:
            await self._app(scope, receive, answered)
        finally:
            self._counts.busy -= 1
            route = getattr(scope.get("route"), "path", "other")
            self._counts.metrics.answered(route, status, perf_counter() - begun)


def took(scope: MutableMapping[str, Any], found: ModelScores) -> None:
    """Note how long the scores of a request took; models follow each other."""
    queue, compute = scope.get(_TIMES, (0.0, 0.0))
    scope[_TIMES] = (max(queue, found.queue_ms), compute + found.compute_ms)


def seconds_since(scope: MutableMapping[str, Any]) -> float:
    """Seconds since the first byte of a request; 0 where nobody watched."""
    return perf_counter() - scope[_BEGUN] if _BEGUN in scope else 0.0


async def gone(request: Request) -> None:
    """Returns when the client of a request, whose body was read, goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _timing(scope: Scope) -> list[tuple[bytes, bytes]]:
    if _TIMES not in scope:
        return []
    queue, compute = scope[_TIMES]
    return [(b"server-timing", f"queue;dur={queue:.3f}, compute;dur={compute:.3f}".encode())]
