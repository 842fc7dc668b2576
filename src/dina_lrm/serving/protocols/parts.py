"""Multipart bodies: one part `request`, and parts `image` in order, kept in memory; file names mean nothing."""

from __future__ import annotations

from typing import Final, final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request

_HEADER_BYTES: Final = 8192
_REQUEST_BYTES: Final = 1 << 22


def is_multipart(content_type: str) -> bool:
    """Whether a body of this content-type has parts."""
    return content_type.strip().lower().startswith("multipart/form-data")


def read_parts(body: bytes, content_type: str, limits: Limits) -> tuple[bytes, list[bytes]]:
    """The JSON of a body and the files beside it.

    Raises:
        Problem: 400 for a body that is no multipart, or has other parts, 413 for too many or too large ones.
    """
    boundary = parse_options_header(content_type.encode("latin-1", "replace"))[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        told = f"a boundary of {len(boundary)} bytes; accepted: multipart/form-data; boundary=.., of 1 to 70"
        raise bad_request("bad_request", told)
    parts = _Parts(2 * limits.batch)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_header_begin": parts.begin_header,
            "on_header_field": parts.take_name,
            "on_header_value": parts.take_value,
            "on_header_end": parts.end_header,
            "on_headers_finished": parts.open,
            "on_part_data": parts.take,
            "on_part_end": parts.end,
            "on_end": parts.finish,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise bad_request("bad_request", f"not multipart ({error!s:.120})") from error
    if not parts.whole or parts.request is None:
        told = "no part request" if parts.whole else "it ends too early"
        raise bad_request("bad_request", f"{told}; accepted: one request (JSON), and image, in order")
    return parts.request, parts.images


@final
class _Parts:
    """What the parser of multipart calls; `request` and `images` are what it found."""

    def __init__(self, most: int) -> None:
        self.request: bytes | None = None
        self.images: list[bytes] = []
        self.whole = False
        self._most = most
        self._name, self._data = b"", bytearray()
        self._header, self._value, self._disposition, self._header_bytes = b"", b"", b"", 0

    def begin(self) -> None:
        self._name, self._data, self._disposition, self._header_bytes = b"", bytearray(), b"", 0

    def begin_header(self) -> None:
        self._header, self._value = b"", b""

    def take_name(self, data: bytes, start: int, end: int) -> None:
        self._bound(end - start)
        self._header += data[start:end]

    def take_value(self, data: bytes, start: int, end: int) -> None:
        self._bound(end - start)
        self._value += data[start:end]

    def end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value

    def open(self) -> None:
        self._name = parse_options_header(self._disposition)[1].get(b"name", b"")
        if self._name not in (b"request", b"image") or (self._name == b"request" and self.request is not None):
            told = f"part {self._name[:40].decode('latin-1')!r}; accepted: one request (JSON), and image, in order"
            raise bad_request("bad_request", told)

    def take(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]
        if self._name == b"request" and len(self._data) > _REQUEST_BYTES:
            raise Problem(413, "too_large", f"the part request; accepted: at most {_REQUEST_BYTES} bytes")

    def end(self) -> None:
        if self._name == b"request":
            self.request = bytes(self._data)
        elif len(self.images) < self._most:
            self.images.append(bytes(self._data))
        else:
            raise Problem(413, "too_large", f"more than {self._most} parts image; accepted: at most {self._most}")

    def finish(self) -> None:
        self.whole = True

    def _bound(self, more: int) -> None:
        self._header_bytes += more
        if self._header_bytes > _HEADER_BYTES:
            raise Problem(413, "too_large", f"headers of a part; accepted: at most {_HEADER_BYTES} bytes")
