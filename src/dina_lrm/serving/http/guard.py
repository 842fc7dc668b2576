"""Who may ask, checked before a body is read: the token, and the names under which a server without one is called."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, final

from dina_lrm.rewards.addresses import LOOPBACK
from dina_lrm.serving.http.browsers import stranger
from dina_lrm.serving.http.refusals import refusal
from dina_lrm.serving.problems import Problem, bad_request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@final
class Guard:
    """Lets through what has the token, on every route; compared in constant time.

    Without a token the server is for programs of this machine: a page in a browser, which may reach it by a name of its
    own (DNS rebinding), is refused (`browsers.stranger`), but for our own pages. `free` are paths that are answered
    without a token: a page that holds nothing, and asks for the token itself.
    """

    def __init__(
        self, app: App, token: str | None, hosts: frozenset[str] = LOOPBACK, free: frozenset[str] = frozenset()
    ) -> None:
        self._app, self._hosts, self._free = app, hosts, free
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403 in place of the application where somebody may not ask."""
        if await is_no_request(self._app, scope, receive, send):
            return
        headers = dict(scope["headers"])
        refused = _unsound(scope["http_version"], headers) or self._refused(scope["path"], headers)
        if refused is None:
            await self._app(scope, receive, send)
        else:
            more = {400: {"connection": "close"}, 401: {"www-authenticate": "Bearer"}}.get(refused.status, {})
            await refusal(refused, scope["path"], more)(scope, receive, send)

    def _refused(self, path: str, headers: dict[bytes, bytes]) -> Problem | None:
        if self._token is not None:
            if path in self._free:
                return None
            told = "no right token; accepted: authorization: Bearer TOKEN"
            return None if has_token(headers, self._token) else Problem(401, "unauthorized", told)
        strange = stranger(
            headers.get(b"host", b"").decode("latin-1"),
            headers[b"origin"].decode("latin-1") if b"origin" in headers else None,
            headers.get(b"sec-fetch-site", b"").decode("latin-1"),
            self._hosts,
        )
        return None if strange is None else Problem(403, "forbidden", f"{strange}; others need a token")


async def is_no_request(app: App, scope: Scope, receive: Receive, send: Send) -> bool:
    """Whether this is no HTTP request; it is then answered: the application begins and ends, websockets are closed."""
    if scope["type"] == "lifespan":
        await app(scope, receive, send)
    elif scope["type"] != "http":
        await send({"type": "websocket.close", "code": 1008})
    return scope["type"] != "http"


def has_token(headers: Mapping[bytes, bytes], token: bytes) -> bool:
    """Whether a request brings `authorization: Bearer TOKEN`."""
    kind, _, given = headers.get(b"authorization", b"").partition(b" ")
    return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), token)


def _unsound(version: str, headers: dict[bytes, bytes]) -> Problem | None:
    """What makes it unclear where a request ends."""
    if version not in ("1.0", "1.1"):
        return bad_request("bad_http", f"HTTP/{version}; accepted: HTTP/1.1")
    if b"content-length" in headers and b"transfer-encoding" in headers:
        # Whoever stands between may go by the other one, and see another request behind it
        return bad_request("bad_http", "content-length and transfer-encoding; accepted: one of them")
    return None
