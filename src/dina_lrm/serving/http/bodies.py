"""The bytes of a request, taken in bounded time and size, unpacked on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect

from dina_lrm.serving.http.packing import unpacker
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem


async def read_bytes(stream: AsyncIterator[bytes], encoding: str, declared: int | None, limits: Limits) -> bytes:
    """The whole body of a request.

    `encoding` is its content-encoding, `declared` its content-length.

    Raises:
        Problem: 413 beyond the limit of bytes, packed or not, 408 where it takes too long, 415 for another encoding,
            400 for broken packing, 499 where the client goes away.
    """
    if declared is not None and declared > limits.body_bytes:
        raise _too_large(limits)
    unpack, body, packed = unpacker(encoding), bytearray(), 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in stream:
                packed += len(chunk)
                body += unpack.take(chunk, limits.body_bytes - len(body))
                if max(packed, len(body)) > limits.body_bytes:
                    raise _too_large(limits)
    except TimeoutError as error:
        told = f"{len(body):,} bytes in {limits.body_seconds:g} s; accepted: the whole body"
        raise Problem(408, "too_slow", told) from error
    except ClientDisconnect as error:
        raise Problem(499, "client_left", "the client went away before its body was here") from error
    unpack.finish()
    return bytes(body)


def _too_large(limits: Limits) -> Problem:
    return Problem(413, "too_large", f"a body of more than {limits.body_bytes:,} bytes, unpacked")
