"""Addresses of servers, and how they are shown: without a name and password. Nothing here imports torch."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from dina_lrm.typed import DinaError

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names of this machine, which no other machine and no page of one can take."""


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


def shown_url(url: str) -> str:
    """An address without a name and password, whatever else is wrong with it."""
    return printable(re.sub(r"^([a-z]+://)?.*@", r"\1***@", url, flags=re.DOTALL | re.IGNORECASE))


def without_password(reward: str) -> str:
    """A reward's name as it may be kept: without the name and password of a `remote:` address."""
    return re.sub(r"^((?:relative:)*remote:[a-z]+://)[^/?#]*@", r"\1", reward, flags=re.IGNORECASE)


def without_passwords_in(text: str) -> str:
    """A text, such as a command line, without those of all addresses that stand in it."""
    return re.sub(r"([a-z][a-z0-9+.-]*://)[^/?#\s,'\"]*@", r"\1", text, flags=re.IGNORECASE)


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
