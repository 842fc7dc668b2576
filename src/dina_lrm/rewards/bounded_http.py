"""One request over HTTP that ends: in bounded time and bytes, at the address given, whatever the server does.

Nothing of the surroundings takes part: no proxies, no netrc, no cookies. Redirects are answers like others, so that
what is sent never goes elsewhere. No compression is asked for, because nobody can say how large it unfolds.
"""

from __future__ import annotations

import base64
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from time import monotonic, time
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from dina_lrm.typed import DinaError

Failure = (OSError, HTTPException, UnicodeError)
"""What `ask` raises where there is no answer: the network's errors, and TimeoutError when the time is over."""


@dataclass(frozen=True)
class Address:
    """Where a server is; a name and password are sent to it and shown nowhere."""

    scheme: str
    host: str
    port: int
    path: str
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises ValueError, without what may be a password, for what is no address of a server over HTTP."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = SplitResult("", "", "", "", ""), None
        plain = url.isprintable() and " " not in url and not parts.query and not parts.fragment
        if not (plain and parts.scheme in ("http", "https") and parts.hostname and port != 0):
            raise DinaError(f"{shown_url(url)}: no address; accepted: http://HOST:PORT, with a port of 1 to 65535")
        told = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            told = "Basic " + base64.b64encode(pair.encode()).decode()
        usual = 443 if parts.scheme == "https" else 80
        return cls(parts.scheme, parts.hostname, port or usual, parts.path.rstrip("/"), told)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


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


def ask(
    address: Address,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout: float,
    most_bytes: int,
) -> Answer:
    """Send one request and read its answer, `most_bytes` of it, all within `timeout` seconds.

    Raises:
        OSError, HTTPException: no answer; TimeoutError among them when the time is over.
    """
    kept = {**headers, "accept-encoding": "identity", "connection": "close"}
    if address.authorization is not None:
        kept["authorization"] = address.authorization
    end = monotonic() + timeout
    with _connected(address, timeout) as connection, _ended_after(connection.sock, end - monotonic()) as over:
        try:
            if isinstance(connection.sock, ssl.SSLSocket):
                connection.sock.do_handshake()
            connection.request(method, address.path + path, body, kept)
            answer = _read(connection.getresponse(), most_bytes)
        except Failure as error:
            if not over.is_set():
                raise
            raise TimeoutError(f"not done in {timeout:g} s") from error
        if over.is_set():  # headers that were cut pass for whole ones
            raise TimeoutError(f"not done in {timeout:g} s")
    return answer


def _read(found: HTTPResponse, most_bytes: int) -> Answer:
    body = found.read(most_bytes + 1)
    longer = len(body) > most_bytes
    if not longer and found.length:  # what http.client passes over where it is told how much to read
        raise IncompleteRead(body, found.length)
    headers = {name.lower(): value for name, value in found.getheaders()}
    return Answer(found.status, found.reason, headers, body[:most_bytes], longer)


@contextmanager
def _connected(address: Address, timeout: float) -> Iterator[HTTPConnection]:
    secure = address.scheme == "https"
    connection = (HTTPSConnection if secure else HTTPConnection)(address.host, address.port, timeout=timeout)
    connection.sock = socket.create_connection((address.host, address.port), timeout)
    try:
        if secure:  # the handshake comes later, within the time that is taken
            connection.sock = ssl.create_default_context().wrap_socket(
                connection.sock, server_hostname=address.host, do_handshake_on_connect=False
            )
        yield connection
    finally:
        connection.close()


@contextmanager
def _ended_after(used: socket.socket, seconds: float) -> Iterator[threading.Event]:
    """Cut the connection when the time is over: a server that sends a byte now and then keeps its socket's time-out."""
    over = threading.Event()

    def cut() -> None:
        over.set()
        try:
            used.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself

    timer = threading.Timer(max(seconds, 0.0), cut)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()


def shown_url(url: str) -> str:
    """An address without a name and password, whatever else is wrong with it."""
    return printable(re.sub(r"^([a-z]+://)?.*@", r"\1***@", url, flags=re.DOTALL | re.IGNORECASE))


def without_password(reward: str) -> str:
    """A reward's name as it may be kept: without the name and password of a `remote:` address."""
    return re.sub(r"^(remote:[a-z]+://)[^/?#]*@", r"\1", reward, flags=re.IGNORECASE)


def without_passwords(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Plain values as they may be kept: `without_password` of every text, at any depth."""
    if isinstance(value, str):
        return without_password(value)
    if isinstance(value, list):
        return [without_passwords(item) for item in value]
    return {key: without_passwords(item) for key, item in value.items()} if isinstance(value, dict) else value


def printable(text: str | bytes, most: int = 300) -> str:
    """The beginning of what a server said, with what would steer a terminal escaped."""
    if isinstance(text, bytes):
        text = text[: 4 * most].decode("utf-8", errors="replace")
    told = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:most])
    return told if len(text) <= most else f"{told}..."
