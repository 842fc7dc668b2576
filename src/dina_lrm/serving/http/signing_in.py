"""Who may see a page: people of this machine, or whoever types the token, which a cookie then stands for.

A browser sends no token by itself. Where a server has one, the first request is answered with a small form; the right
token sets a cookie that only this server is sent (SameSite=Strict) and that scripts cannot read. Programs may send the
token as `authorization: Bearer TOKEN`, as they do to `Guard`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Final, final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from dina_lrm.rewards.addresses import LOOPBACK
from dina_lrm.serving.http.browsers import is_own_page, stranger
from dina_lrm.serving.http.guard import App, Receive, Scope, Send, has_token, is_no_request

SIGN_IN: Final = "/sign-in"
_COOKIE: Final = "dina-lrm-studio"
_MOST_BYTES: Final = 4096
_POLICY: Final = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'"
)
"""Nothing is fetched from elsewhere, and nobody else's page holds this one or a part of it."""
_FORM: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 24rem; margin: 20vh auto; padding: 0 1rem }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin: .4rem 0 }}</style></head>
<body><form method="post" action="{action}"><label>Token<input type="password" name="token" autofocus required
autocomplete="current-password"></label><button>Sign in</button><p role="alert">{told}</p></form></body></html>"""


@final
class SignedIn:
    """Lets through the requests of our own pages: without a token those of this machine, with one those that know it.

    All answers forbid the browser to fetch anything from elsewhere.
    """

    def __init__(self, app: App, token: str | None, hosts: frozenset[str] = LOOPBACK) -> None:
        self._app, self._hosts = app, hosts
        self._token = None if token is None else token.encode()
        self._key = secrets.token_bytes(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 with a form, or 403, in the place of the application where somebody may not see it."""
        if await is_no_request(self._app, scope, receive, send):
            return
        request = Request(scope, receive)
        refused = self._strange(request)
        if refused is not None:
            await PlainTextResponse(refused, 403)(scope, receive, send)
        elif self._token is not None and request.url.path == SIGN_IN and request.method == "POST":
            await (await self._signing_in(request))(scope, receive, send)
        elif self._knows(request):
            await self._app(scope, receive, _guarded(send))
        else:
            told = _FORM.format(action=SIGN_IN, told="")
            headers = {"www-authenticate": "Bearer"}
            await HTMLResponse(told, 401, headers)(scope, receive, _guarded(send))

    def _strange(self, request: Request) -> str | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if self._token is None:
            found = stranger(host, origin, request.headers.get("sec-fetch-site", ""), self._hosts)
            return None if found is None else f"{found}; others need a token"
        if origin is not None and not is_own_page(host, origin):
            return f"a page of {origin[:80]!r}; accepted: pages of this server"
        return None

    async def _signing_in(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                return PlainTextResponse("too long; accepted: the token", 413)
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        assert self._token is not None
        if not hmac.compare_digest(given.encode(), self._token):
            return HTMLResponse(_FORM.format(action=SIGN_IN, told="That is not the token."), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            _COOKIE, self._proof(), httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return answer

    def _knows(self, request: Request) -> bool:
        if self._token is None:
            return True
        if has_token(dict(request.scope["headers"]), self._token):
            return True
        try:
            cookie = SimpleCookie(request.headers.get("cookie", "")).get(_COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self._proof().encode())

    def _proof(self) -> str:
        """What the cookie holds: it tells nothing of the token, and ends with the server."""
        return hmac.new(self._key, self._token or b"", hashlib.sha256).hexdigest()


def _guarded(send: Send) -> Send:
    """Answers with the policy."""

    async def with_policy(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"content-security-policy", _POLICY.encode())]  # type: ignore[misc]
            message = {**message, "headers": headers}
        await send(message)

    return with_policy  # type: ignore[return-value]
