"""Connections to one server that are kept open; a request over them ends in bounded time and bytes.

Nothing of the surroundings takes part: no proxies, no netrc, no cookies. Redirects are answers like others, so that
what is sent never goes elsewhere. No compression is asked for, because nobody can say how large it unfolds.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, Final, final

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ProtocolError

from dina_lrm.rewards.addresses import Address
from dina_lrm.rewards.remote.timed_socket import TimedSocket
from dina_lrm.rewards.remote.traffic import Traffic

if TYPE_CHECKING:
    _Base = HTTPConnection
else:
    _Base = object

Failure: Final = (HTTPError, OSError, UnicodeError)
"""What `Connections.ask` raises where there is no answer; urllib3's errors name their cause."""
_CHUNK: Final = 1 << 16


@dataclass(frozen=True)
class Answer:
    """What came back: status and reason, headers by lower-case name, and as much of the body as was asked for."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    longer: bool
    """Whether there was more."""

    def wait(self) -> float | None:
        """Seconds that the server asks to wait, of its Retry-After in either form; None where it does not say."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"\d{1,9}", text, re.ASCII):
            return float(text)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time())
        except (ValueError, TypeError, OverflowError, OSError):
            return None


@final
class Connections:
    """At most `most` connections to a server, shared by threads and used again while the server keeps them open."""

    def __init__(self, address: Address, traffic: Traffic, most: int = 32, ca_file: str | None = None) -> None:
        host = f"[{address.host}]" if ":" in address.host else address.host
        size: dict[str, Any] = {"maxsize": most, "block": True, "traffic": traffic}
        self._pool: HTTPConnectionPool
        if address.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file)
            self._pool = _SecurePool(host, address.port, ssl_context=context, **size)
        else:
            self._pool = _PlainPool(host, address.port, **size)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: float,
        most_bytes: int,
        patience: float,
    ) -> Answer:
        """Send one request and read its answer, `most_bytes` of it, within `timeout` seconds.

        They are counted from when there is a free connection, which is waited for at most `patience` seconds. A
        connection that the server closed while nobody used it is replaced, and the request sent over a new one.

        Raises:
            Failure: for no answer; TimeoutError stands among the causes where the time was over.
        """
        waiting: Any = patience  # declared as whole seconds
        while True:
            try:
                response = self._pool.urlopen(
                    method,
                    path,
                    body,
                    {**headers, "accept-encoding": "identity"},
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                    timeout=Timeout(total=timeout),
                    pool_timeout=waiting,
                    preload_content=False,
                    decode_content=False,
                )
                return _read(response, most_bytes)
            except ProtocolError as error:
                if not any(isinstance(cause, _ClosedWhileIdle) for cause in error.args):
                    raise


def _read(response: BaseHTTPResponse, most_bytes: int) -> Answer:
    body, whole = bytearray(), False
    try:
        while len(body) <= most_bytes:
            chunk = response.read(min(_CHUNK, most_bytes + 1 - len(body)), decode_content=False)
            if not chunk:
                whole = True
                break
            body += chunk
    finally:
        if not whole:
            response.close()
        response.release_conn()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, response.reason or "", headers, bytes(body[:most_bytes]), not whole)


class _ClosedWhileIdle(ConnectionError):
    """A connection that had answered before, and was closed by the server without an answer to this request."""


class _Timed(_Base):
    """What both kinds of connections have in common; the time-out of urllib3 becomes that of a `TimedSocket`."""

    traffic: Traffic
    _used = False

    def connect(self) -> None:
        self._used = False
        super().connect()
        timed: Any = TimedSocket(self.sock, self.traffic)
        timed.settimeout(self.timeout)
        self.sock = timed
        self.traffic.add(connections=1)

    def getresponse(self) -> Any:  # noqa: ANN401 - urllib3's response
        try:
            found = super().getresponse()
        except ConnectionError as error:
            if self._used:
                raise _ClosedWhileIdle(str(error)) from error
            raise
        self._used = True
        return found


class _PlainConnection(_Timed, HTTPConnection):
    def __init__(self, *given: Any, traffic: Traffic, **named: Any) -> None:  # noqa: ANN401 - urllib3's arguments
        super().__init__(*given, **named)
        self.traffic = traffic


class _SecureConnection(_Timed, HTTPSConnection):
    def __init__(self, *given: Any, traffic: Traffic, **named: Any) -> None:  # noqa: ANN401 - urllib3's arguments
        super().__init__(*given, **named)
        self.traffic = traffic


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
