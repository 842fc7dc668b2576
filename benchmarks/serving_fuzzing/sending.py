"""Sends the bytes of a case over a socket of its own and takes what comes back, in bounded time."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass

import h11

from benchmarks.serving_fuzzing.requests import Case

SECONDS = 60
"""A request that takes longer hangs."""


@dataclass(frozen=True)
class Answer:
    """What came back: no status where nothing did, and why."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    seconds: float
    why: str = ""


def send(case: Case, port: int) -> Answer:
    """The answer to a case."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as wire:
        why = _give(case, wire)
        if case.leaves:
            return Answer(None, {}, b"", time.perf_counter() - began, "left")
        if case.cut:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_WR)
        status, headers, body, ended = _taken(case, wire, began)
    return Answer(status, headers, body, time.perf_counter() - began, ended or why)


def _give(case: Case, wire: socket.socket) -> str:
    """Send what the server takes; a server that has refused may stop listening."""
    try:
        for number, chunk in enumerate(case.chunks):
            if number and case.pause:
                time.sleep(case.pause)
            wire.sendall(chunk)
    except OSError as error:
        return type(error).__name__
    return ""


def _taken(case: Case, wire: socket.socket, began: float) -> tuple[int | None, dict[str, str], bytes, str]:
    reader = h11.Connection(h11.CLIENT)
    method = case.method if case.method.isalpha() else "POST"
    reader.send(h11.Request(method=method, target="/", headers=[("host", "a"), ("connection", "close")]))
    reader.send(h11.EndOfMessage())
    status: int | None = None
    headers: dict[str, str] = {}
    body = b""
    while True:
        try:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                if time.perf_counter() - began > SECONDS:
                    return status, headers, body, "hangs"
                reader.receive_data(wire.recv(1 << 16))
            elif isinstance(event, h11.Response):
                status, headers = event.status_code, {a.decode(): b.decode("latin-1") for a, b in event.headers}
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, headers, body, ""
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return status, headers, body, "closed"
        except TimeoutError:
            return status, headers, body, "hangs"
        except (OSError, h11.RemoteProtocolError) as error:
            return status, headers, body, type(error).__name__
