"""A request as the bytes that go over the wire, with pauses, and what may be answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Case:
    """Bytes for the server in `chunks`, with `pause` seconds between them.

    `told` says what is wrong with them. `refused` holds where no answer of 200 can be right. The sender stops sending
    behind the last chunk where `cut`, and leaves without waiting for an answer where `leaves`. `silent` allows the
    server to hang up without a word. `method` and `path` say how the answer is to be read.
    """

    told: str
    chunks: tuple[bytes, ...]
    method: str = "POST"
    path: str = "/"
    pause: float = 0.0
    refused: bool = True
    cut: bool = False
    leaves: bool = False
    silent: bool = False


Headers = Sequence[tuple[str, str]]


def head(method: str, path: str, headers: Headers) -> bytes:
    """The lines before a body."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {HOST}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def post(
    told: str,
    path: str,
    body: bytes,
    *headers: tuple[str, str],
    method: str = "POST",
    refused: bool = True,
) -> Case:
    """A request whose framing is right and whose body is not."""
    return Case(
        told,
        (head(method, path, [("content-length", str(len(body))), *headers]) + body,),
        method,
        path,
        refused=refused,
    )
