"""The bytes of a request, taken in bounded time and size, unpacked on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import final

from starlette.requests import ClientDisconnect

from dina_lrm.serving.http.packing import unpacker
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem


@final
class Intake:
    """The bytes of all bodies that are here and were not read by their protocols yet."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.bytes = most_bytes, 0

    @contextmanager
    def taking(self) -> Iterator[Callable[[int], None]]:
        """Count the bytes of one body until this is left.

        What is given is called with each number of bytes that come; it raises Problem 429 where other bodies leave no
        room for them.
        """
        mine = 0

        def more(count: int) -> None:
            nonlocal mine
            if self.bytes > mine and self.bytes + count > self.most_bytes:
                told = f"{self.bytes:,} bytes are being read; accepted: {self.most_bytes:,}"
                raise Problem(429, "too_much_waits", told, retry_after=1)
            mine, self.bytes = mine + count, self.bytes + count

        try:
            yield more
        finally:
            self.bytes -= mine


async def read_bytes(
    stream: AsyncIterator[bytes],
    encoding: str,
    declared: int | None,
    limits: Limits,
    more: Callable[[int], None] = lambda _: None,
) -> bytes:
    """The whole body of a request.

    `encoding` is its content-encoding, `declared` its content-length; `more` hears of the bytes that come.

    Raises:
        Problem: 413 beyond the limit of bytes, packed or not, 408 where it takes too long, 415 for another encoding,
            400 for broken packing, 499 where the client goes away.
    """
    if declared is not None and declared > limits.body_bytes:
        raise _too_large(limits)
    unpack, parts, packed, size = unpacker(encoding), list[bytes](), 0, 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in stream:
                packed += len(chunk)
                # Not one array that grows: with hundreds under way it is moved, and copied, again and again
                parts.append(unpack.take(chunk, limits.body_bytes - size))
                more(len(parts[-1]))
                size += len(parts[-1])
                if max(packed, size) > limits.body_bytes:
                    raise _too_large(limits)
    except TimeoutError as error:
        told = f"{size:,} bytes in {limits.body_seconds:g} s; accepted: the whole body"
        raise Problem(408, "too_slow", told) from error
    except ClientDisconnect as error:
        raise Problem(499, "client_left", "the client went away before its body was here") from error
    unpack.finish()
    return b"".join(parts)


def _too_large(limits: Limits) -> Problem:
    return Problem(413, "too_large", f"a body of more than {limits.body_bytes:,} bytes, unpacked")
