"""Bodies that come packed: unpacked as they arrive, and never to much more than may come of them."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final, final

from dina_lrm.serving.problems import Problem, bad_request

ENCODINGS: Final = ("identity", "gzip", *(("zstd",) if find_spec("zstandard") else ()))
"""What `content-encoding` may be."""
_PIECE: Final = 256
"""Bytes that zstd is given at once: four bytes of it may mean 128 KiB, so that one piece is at most 8 MiB."""
_WINDOW: Final = 1 << 23
"""The largest window that a frame of zstd may ask memory for: what HTTP allows (RFC 9659)."""


class Unpacker(ABC):
    """Takes a body chunk by chunk."""

    @abstractmethod
    def take(self, chunk: bytes, most: int) -> bytes:
        """Unpack a chunk; more than `most` bytes mean that there was more than that.

        Raises:
            Problem: 400 for broken packing.
        """

    @abstractmethod
    def finish(self) -> None:
        """Raise Problem 400 where the body ended before its packing did."""


@final
class Plain(Unpacker):
    """A body as it is."""

    def take(self, chunk: bytes, most: int) -> bytes:
        """Return the chunk."""
        return chunk

    def finish(self) -> None:
        """Accept any end."""


@final
class Gzip(Unpacker):
    """One member of gzip."""

    def __init__(self) -> None:
        self._machine = zlib.decompressobj(wbits=31)

    def take(self, chunk: bytes, most: int) -> bytes:
        """Unpack a chunk to at most `most` + 1 bytes."""
        if self._machine.eof and chunk:
            raise _broken("gzip", "bytes behind its end")
        try:
            found = self._machine.decompress(chunk, most + 1)
        except zlib.error as error:
            raise _broken("gzip", str(error)) from error
        if self._machine.unused_data:
            raise _broken("gzip", "bytes behind its end")
        return found

    def finish(self) -> None:
        """Refuse a stream that was cut."""
        if not self._machine.eof:
            raise _broken("gzip", "it ends too early")


@final
class Zstd(Unpacker):
    """One frame of zstd."""

    def __init__(self) -> None:
        from zstandard import ZstdDecompressor, ZstdError

        self._failure = ZstdError
        self._machine = ZstdDecompressor(max_window_size=_WINDOW).decompressobj(write_size=1 << 17)

    def take(self, chunk: bytes, most: int) -> bytes:
        """Unpack a chunk, and stop soon behind `most` bytes."""
        found = bytearray()
        for start in range(0, len(chunk), _PIECE):
            if self._machine.eof:
                raise _broken("zstd", "bytes behind its end")
            try:
                found += self._machine.decompress(chunk[start : start + _PIECE])
            except self._failure as error:
                raise _broken("zstd", str(error)) from error
            if self._machine.unused_data:
                raise _broken("zstd", "bytes behind its end")
            if len(found) > most:
                break
        return bytes(found)

    def finish(self) -> None:
        """Refuse a frame that was cut."""
        if not self._machine.eof:
            raise _broken("zstd", "it ends too early")


def unpacker(encoding: str) -> Unpacker:
    """What unpacks a `content-encoding`, "" where there is none. Problem 415 for another."""
    name = encoding.strip().lower() or "identity"
    if name not in ENCODINGS:
        told = f"content-encoding {encoding[:20]!r}; accepted: {', '.join(ENCODINGS)}"
        raise Problem(415, "unknown_encoding", told)
    kinds: dict[str, Callable[[], Unpacker]] = {"identity": Plain, "gzip": Gzip, "zstd": Zstd}
    return kinds[name]()


def _broken(kind: str, told: str) -> Problem:
    return bad_request("bad_encoding", f"broken {kind} ({told:.80})")
