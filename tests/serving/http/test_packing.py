"""A packed body is unpacked to the bytes that were packed, however it is cut into chunks, and never to too many."""

import asyncio
import gzip
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.serving.http.bodies import read_bytes
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem

PACK = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
KINDS = pytest.mark.parametrize("kind", ["gzip", "zstd"])


def read(body, encoding, most=1 << 20, piece=1 << 16):
    async def stream():
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    return asyncio.run(read_bytes(stream(), encoding, None, Limits(body_bytes=most)))


def refusal(*given, **more):
    with pytest.raises(Problem) as told:
        read(*given, **more)
    return told.value.status, told.value.code


@pytest.mark.parametrize("encoding", [*PACK, "GZIP", " zstd "])
@given(st.binary(max_size=2000), st.integers(1, 300))
def test_what_was_packed_comes_back(encoding, body, piece):
    assert read(PACK[encoding.strip().lower()](body), encoding, piece=piece) == body


@KINDS
def test_bytes_are_counted_after_unpacking(kind):
    body = bytes(10_000)
    assert read(PACK[kind](body), kind, most=10_000) == body
    assert refusal(PACK[kind](body), kind, most=9_999) == (413, "too_large")


@KINDS
def test_a_bomb_takes_little_memory(kind):
    bomb = PACK[kind](bytes(1 << 28))
    tracemalloc.start()
    try:
        assert refusal(bomb, kind, most=1 << 20) == (413, "too_large")
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


@KINDS
def test_what_is_broken_cut_or_followed_by_more_is_refused(kind):
    whole = PACK[kind](b"some bytes, and some bytes again" * 9)
    for broken in (b"none of it", whole[:-3], whole + b"more", whole + whole, b""):
        assert refusal(broken, kind) == (400, "bad_encoding")


def test_a_frame_that_asks_for_a_large_window_is_refused():
    wide = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    assert refusal(packer.compress(bytes(100)) + packer.flush(), "zstd") == (400, "bad_encoding")


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "deflate"])
def test_another_encoding_is_refused_with_those_that_are_read(encoding):
    assert refusal(b"x", encoding) == (415, "unknown_encoding")
