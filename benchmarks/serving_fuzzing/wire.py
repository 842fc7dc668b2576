"""What is wrong with the framing: packing, lengths, chunks, headers, time."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable
from functools import cache

import zstandard
from safetensors.torch import save

from benchmarks.serving_fuzzing.good import Known
from benchmarks.serving_fuzzing.requests import HOST, Case, head, post

LIMIT = 64 << 20
START = f"host: {HOST}\r\nconnection: close\r\n"


@cache
def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(LIMIT + (1 << 20)))


@cache
def _zstd_bomb() -> bytes:
    return zstandard.compress(bytes(LIMIT + (1 << 20)))


def packing(known: Known, rng: random.Random) -> Case:
    """A content-encoding that is none, is another, is broken, or is a bomb."""
    body = save(known.tensors)
    bodies: dict[str, tuple[str, bytes]] = {
        "plain as gzip": ("gzip", body),
        "plain as zstd": ("zstd", body),
        "gzip as zstd": ("zstd", gzip.compress(body)),
        "zstd as gzip": ("gzip", zstandard.compress(body)),
        "deflate": ("deflate", zlib.compress(body)),
        "br": ("br", body),
        "gzip twice": ("gzip, gzip", gzip.compress(gzip.compress(body))),
        "no name": (",", body),
        "a long name": ("g" * 3_000, body),
        "gzip cut": ("gzip", gzip.compress(body)[: rng.randrange(1, 200)]),
        "zstd cut": ("zstd", zstandard.compress(body)[: rng.randrange(1, 200)]),
        "gzip damaged": ("gzip", _flipped(gzip.compress(body), rng)),
        "zstd damaged": ("zstd", _flipped(zstandard.compress(body), rng)),
        "gzip bomb": ("gzip", _gzip_bomb()),
        "zstd bomb": ("zstd", _zstd_bomb()),
        "zstd of a huge window": ("zstd", b"\x28\xb5\x2f\xfd\x00\xf8" + bytes(100)),
        "gzip with more behind": ("gzip", gzip.compress(body) + b"\xff" * 1_000_000),
        "many gzips": ("gzip", gzip.compress(b"") * 50_000),
        "nothing as gzip": ("gzip", b""),
        "nothing as zstd": ("zstd", b""),
    }
    told = rng.choice(list(bodies))
    name, content = bodies[told]
    refused = told not in ("gzip damaged", "zstd damaged")
    return post(f"packing: {told}", "/v1/score", content, ("content-encoding", name), refused=refused)


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _raw(told: str, *chunks: bytes, silent: bool = True, cut: bool = True, pause: float = 0.0) -> Case:
    return Case(told, chunks, cut=cut, silent=silent, pause=pause)


_POST = b"POST /v1/score HTTP/1.1\r\n" + START.encode()
_CHUNKED = _POST + b"transfer-encoding: chunked\r\n\r\n"


def _get(path: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", b"host: 127.0.0.1", *headers, b"", b""])


_KEY = b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="
_LINES: dict[str, Callable[[random.Random], bytes]] = {
    "garbage": lambda rng: rng.randbytes(rng.choice((1, 200, 100_000))) + b"\r\n\r\n",
    "a preface of HTTP/2": lambda _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "an upgrade to h2c": lambda _: _get(
        b"/health", b"connection: upgrade, http2-settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAAQAAP__"
    ),
    "a websocket": lambda _: _get(
        b"/health", b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-version: 13", _KEY
    ),
    "HTTP/0.9": lambda _: b"GET /health\r\n\r\n",
    "HTTP/9.9": lambda _: b"GET /health HTTP/9.9\r\nhost: 127.0.0.1\r\n\r\n",
    "a TLS hello": lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "no host": lambda _: b"POST /v1/score HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "two hosts": lambda _: b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\n\r\n",
    "another host": lambda _: b"GET /health HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
    "a host of brackets": lambda _: b"GET /health HTTP/1.1\r\nhost: [::1\r\nconnection: close\r\n\r\n",
    "a header of 10 MB": lambda _: _POST + b"a: " + b"b" * 10_000_000 + b"\r\n\r\n",
    "a line of 10 MB": lambda _: b"GET /" + b"a" * 10_000_000,
    "100,000 headers": lambda _: _POST + b"a: b\r\n" * 100_000 + b"\r\n",
    "a header without a colon": lambda _: _POST + b"abc\r\n\r\n",
    "a folded header": lambda _: _POST + b"a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "a zero byte in a header": lambda _: _POST + b"a: \x00\r\n\r\n",
    "a bare carriage return": lambda _: _POST + b"a: b\rc: d\r\n\r\n",
    "a space before the colon": lambda _: _POST + b"content-length : 5\r\n\r\nhello",
    "length and chunks": lambda _: (
        _POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + _get(b"/health")
    ),
    "two lengths": lambda _: _POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "a list of lengths": lambda _: _POST + b"content-length: 5, 5\r\n\r\nhello",
    "a length of -1": lambda _: _POST + b"content-length: -1\r\n\r\n",
    "a length of 1e3": lambda _: _POST + b"content-length: 1e3\r\n\r\n",
    "a length of 100 digits": lambda _: _POST + b"content-length: " + b"9" * 100 + b"\r\n\r\n",
    "a length of 10 TB": lambda _: _POST + b"content-length: 10000000000000\r\n\r\nabc",
    "a length in Arabic digits": lambda _: _POST + "content-length: ٣\r\n\r\nabc".encode(),
    "a length too long": lambda _: _POST + b"content-length: 500\r\n\r\nabc",
    "a length too short": lambda _: _POST + b"content-length: 3\r\n\r\nabcdefgh",
    "chunks of garbage": lambda rng: _CHUNKED + rng.randbytes(100),
    "a chunk of -1": lambda _: _CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n",
    "a chunk of 2**70": lambda _: _CHUNKED + b"fffffffffffffffffff\r\nabc",
    "a chunk with a long extension": lambda _: _CHUNKED + b"3;" + b"a" * 1_000_000 + b"\r\nabc\r\n0\r\n\r\n",
    "a trailer of 1 MB": lambda _: _CHUNKED + b"0\r\na: " + b"b" * 1_000_000 + b"\r\n\r\n",
    "100,000 chunks of a byte": lambda _: _CHUNKED + b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n",
    "chunks twice": lambda _: _POST + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks by another name": lambda _: _POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity and chunks": lambda _: (
        _POST + b"transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a body that never ends": lambda _: _CHUNKED + b"10000\r\n" + b"a" * 65536 + b"\r\n",
    "pipelining": lambda _: _get(b"/health") * 200 + _POST + b"content-length: 0\r\n\r\n",
    "a method of 5,000 letters": lambda _: b"A" * 5_000 + b" / HTTP/1.1\r\n" + START.encode() + b"\r\n",
    "a method that is none": lambda rng: (
        rng.choice((b"BREW", b"TRACE", b"CONNECT", b"g\xc3\xa9t", b"")) + _POST[4:] + b"\r\n"
    ),
    "a whole address": lambda _: (
        b"GET http://evil.example/health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    ),
    "a path of dots": lambda _: b"GET /../../../../etc/passwd HTTP/1.1\r\n" + START.encode() + b"\r\n",
    "a path of %": lambda rng: _get(b"/" + rng.choice((b"%", b"%zz", b"%00", b"%ff%fe", b"%2e%2e%2f" * 300))),
    "a long query": lambda _: b"GET /health?" + b"a=b&" * 10_000 + b" HTTP/1.1\r\n" + START.encode() + b"\r\n",
    "expect: something": lambda _: _POST + b"expect: wonders\r\ncontent-length: 0\r\n\r\n",
    "expect: 100-continue": lambda _: _POST + b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n",
    "an origin": lambda _: _POST + b"origin: http://evil.example\r\ncontent-length: 0\r\n\r\n",
    "a token in another scheme": lambda _: _POST + b"authorization: Basic AAAA\r\ncontent-length: 0\r\n\r\n",
    "a range": lambda _: _get(b"/docs", b"range: bytes=0-1,-99999999999999999999"),
    "line feeds alone": lambda _: b"GET /health HTTP/1.1\nhost: 127.0.0.1\nconnection: close\n\n",
}
_ANSWERED = (
    "a websocket",
    "an upgrade to h2c",
    "pipelining",
    "line feeds alone",
    "a whole address",
    "a range",
    "a long query",
    "a method that is none",
    "a host of brackets",
    "length and chunks",
    "HTTP/9.9",
)
"""Those that may be answered with 200: they can be understood in a harmless way."""


def framing(_: object, rng: random.Random) -> Case:
    """HTTP that is none, or of the kind that confuses servers about where a request ends."""
    told = rng.choice(list(_LINES))
    return Case(f"framing: {told}", (_LINES[told](rng),), cut=True, silent=True, refused=told not in _ANSWERED)


def slow(known: Known, rng: random.Random) -> Case:
    """A body or a head that comes drop by drop, stops, or is cut; and clients that leave."""
    body = save(known.tensors)
    start = head("POST", "/v1/score", [("content-length", str(len(body)))])
    kinds: dict[str, Callable[[], Case]] = {
        "a head that stops": lambda: Case("", (start[:60],), silent=True),
        "a head by drops": lambda: Case("", tuple(start[n : n + 8] for n in range(0, 64, 8)), pause=0.3, silent=True),
        "a body that stops": lambda: Case("", (start + body[:1000],)),
        "a body by drops": lambda: Case("", (start, *[body[n : n + 1] for n in range(12)]), pause=0.2),
        "no body": lambda: Case("", (start,)),
        "a body cut": lambda: Case("", (start + body[: rng.randrange(len(body))],), cut=True, silent=True),
        "a client that leaves": lambda: Case("", (start + body,), leaves=True),
        "a client that leaves early": lambda: Case("", (start + body[:1000],), leaves=True),
        "nothing at all": lambda: Case("", (b"",), silent=True, cut=rng.random() < 0.5),
        "chunks that stop": lambda: Case("", (_CHUNKED + b"5\r\nhel",)),
    }
    told = rng.choice(list(kinds))
    made = kinds[told]()
    return Case(f"slow: {told}", made.chunks, pause=made.pause, cut=made.cut, leaves=made.leaves, silent=made.silent)
