"""What the vote page asks for, and what it is answered: nobody else is, and nothing but numbers names a picture."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar, Final

from dina_lrm.collecting.page import vote_page
from dina_lrm.collecting.session import NotAskedError, State, VoteSession
from dina_lrm.runs.json_files import parse_json
from dina_lrm.serving.http.browsers import stranger
from dina_lrm.typed import DinaError

_LARGEST: Final = 4096
"""Bytes of a request's body."""
_PNG: Final = b"\x89PNG"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class _Answer:
    """A status, a body and its type."""

    status: int
    body: bytes
    kind: str = "application/json"


class VoteHandler(BaseHTTPRequestHandler):
    """Answers one request; `session`, `hosts`, `token` and `end` are set by the server that it is made for."""

    session: ClassVar[VoteSession]
    hosts: ClassVar[frozenset[str]]
    token: ClassVar[str]
    end: ClassVar[Callable[[], None]]
    protocol_version = "HTTP/1.1"
    server_version = "dina-lrm"
    sys_version = ""
    timeout = 30
    """Seconds that a connection may say nothing."""

    def do_GET(self) -> None:
        """Answer the page, its state, or a picture."""
        refused = self._refused()
        if refused is not None:
            return self._send(refused)
        if self.path == "/":
            return self._send_page()
        if self.path == "/state":
            return self._send(_state(self.session.state()))
        number = self.path.removeprefix("/picture/")
        if number != self.path and number.isascii() and number.isdecimal() and len(number) < 10:
            return self._send(self._picture(int(number)))
        return self._send(_error(404, "there is no such page"))

    def do_POST(self) -> None:
        """Save a vote, take one back, or end the session."""
        body = self._body()
        refused = self._refused() or self._without_token()
        if isinstance(body, _Answer) or refused is not None:
            return self._send(refused or body)  # type: ignore[arg-type]
        try:
            return self._send(self._changed(body))
        except NotAskedError as error:
            return self._send(_error(409, str(error)))
        except DinaError as error:
            return self._send(_error(400, str(error)))
        except OSError as error:
            return self._send(_error(500, f"the vote could not be saved: {error.strerror or error}"))

    def _changed(self, body: Mapping[str, Any]) -> _Answer:
        if self.path == "/vote":
            number, choice = body.get("number"), body.get("choice")
            if isinstance(number, bool) or not isinstance(number, int) or not isinstance(choice, str):
                raise DinaError(f"vote {dict(body)!r:.80}; accepted: a number and a choice")
            return _state(self.session.vote(number, choice))
        if self.path == "/back":
            return _state(self.session.take_back())
        if self.path == "/end":
            type(self).end()
            return _state(self.session.state())
        return _error(404, "there is no such page")

    def _refused(self) -> _Answer | None:
        """The answer to a request that is not of our own page: another host's name for us, another page's script."""
        given = self.headers
        host = given.get("Host", "")
        if host not in self.hosts:
            return _error(403, "this page is for this machine alone")
        told = stranger(host, given.get("Origin"), given.get("Sec-Fetch-Site", ""))
        return None if told is None else _error(403, told)

    def _without_token(self) -> _Answer | None:
        given = self.headers.get("X-Vote-Token", "")
        if hmac.compare_digest(given.encode(), self.token.encode()):
            return None
        return _error(403, "this page is of an earlier session; load it again")

    def _body(self) -> Mapping[str, Any] | _Answer:
        """The JSON object of a request; whatever is wrong with it ends the connection, which holds the rest."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LARGEST:
            self.close_connection = True
            return _error(413, f"accepted: at most {_LARGEST} bytes, with a Content-Length")
        text = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            return _error(415, "accepted: application/json")
        try:
            found = parse_json(text, "request")
        except ValueError as error:
            return _error(400, str(error))
        return found if isinstance(found, dict) else _error(400, "accepted: an object")

    def _picture(self, number: int) -> _Answer:
        try:
            content = self.session.picture(number)
        except (ValueError, OSError):
            return _error(404, "there is no such picture")
        return _Answer(200, content, "image/png" if content.startswith(_PNG) else "image/jpeg")

    def _send_page(self) -> None:
        nonce = secrets.token_urlsafe(12)
        page = vote_page(
            f"Which picture of {self.session.settings.folder.resolve().name} is better?", self.token, nonce
        )
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self._send(_Answer(200, page.encode(), "text/html; charset=utf-8"), {"Content-Security-Policy": policy})

    def _send(self, answer: _Answer, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(answer.status)
        given = {"Content-Type": answer.kind, "Content-Length": str(len(answer.body)), **_HEADERS, **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing of requests."""


def _state(state: State) -> _Answer:
    return _Answer(200, json.dumps(asdict(state)).encode())


def _error(status: int, told: str) -> _Answer:
    return _Answer(status, json.dumps({"error": told}).encode())
