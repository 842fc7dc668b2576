"""Who may ask, checked before a body is read: the token, and the names under which a server without one is called."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, final

from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@final
class Guard:
    """Lets through what has the token, on every route; compared in constant time.

    Without a token the server is for programs of this machine: a page in a browser, which may reach it by a name of its
    own (DNS rebinding), has another Host or an Origin, and is refused.
    """

    def __init__(self, app: App, token: str | None, hosts: frozenset[str] = LOOPBACK) -> None:
        self._app, self._hosts = app, hosts
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403 in place of the application where somebody may not ask."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refused = (
            self._refused(dict(scope["headers"])) if scope["type"] == "http" else (403, "only HTTP is spoken here")
        )
        if refused is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            status, message = refused
            headers = {"www-authenticate": "Bearer"} if status == 401 else {}
            error = {"code": "unauthorized" if status == 401 else "forbidden", "message": message}
            await JSONResponse({"error": error}, status, headers)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refused(self, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        if self._token is not None:
            given = headers.get(b"authorization", b"")
            kind, _, token = given.partition(b" ")
            right = kind.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)
            return None if right else (401, "no right token; accepted: authorization: Bearer TOKEN")
        if b"origin" in headers:
            return 403, "a page of a browser; accepted with a token"
        host = _host_name(headers.get(b"host", b"").decode("latin-1"))
        if host in self._hosts:
            return None
        return 403, f"host {host[:80]!r}; accepted without a token: {', '.join(sorted(self._hosts))}"


def _host_name(host: str) -> str:
    """Without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
