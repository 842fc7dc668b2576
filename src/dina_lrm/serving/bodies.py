"""The bytes of a request, taken in bounded time and size, unpacked on the way."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable

from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request


async def read_bytes(stream: AsyncIterator[bytes], encoding: str, declared: int | None, limits: Limits) -> bytes:
    """The whole body of a request.

    `encoding` is its content-encoding, `declared` its content-length.

    Raises:
        Problem: 413 beyond the limit of bytes, packed or not, 408 where it takes too long, 415 for another encoding,
            400 for broken packing.
    """
    if declared is not None and declared > limits.body_bytes:
        raise _too_large(limits)
    unpack = _unpacker(encoding.strip().lower(), limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in stream:
                body += unpack(chunk, limits.body_bytes + 1 - len(body))
                if len(body) > limits.body_bytes:
                    raise _too_large(limits)
    except TimeoutError as error:
        told = f"{len(body):,} bytes in {limits.body_seconds:g} s; accepted: the whole body"
        raise Problem(408, "too_slow", told) from error
    return bytes(body)


def _too_large(limits: Limits) -> Problem:
    return Problem(413, "too_large", f"a body of more than {limits.body_bytes:,} bytes, unpacked")


def _unpacker(encoding: str, limits: Limits) -> Callable[[bytes, int], bytes]:
    if encoding in ("", "identity"):
        return lambda chunk, _: chunk
    if encoding == "gzip":
        return _gunzip(limits)
    raise Problem(415, "unknown_encoding", f"content-encoding {encoding[:20]!r}; accepted: identity, gzip")


def _gunzip(limits: Limits) -> Callable[[bytes, int], bytes]:
    """Unpack chunk by chunk, never to more than is asked for."""
    machine = zlib.decompressobj(wbits=31)

    def unpack(chunk: bytes, most: int) -> bytes:
        try:
            found = machine.decompress(chunk, max(1, most))
        except zlib.error as error:
            raise bad_request("bad_encoding", f"broken gzip ({error!s:.80})") from error
        if machine.unconsumed_tail:
            raise _too_large(limits)
        return found

    return unpack
