"""Files that are no pictures, or pictures that are bombs; by JSON, multipart and pickle."""

from __future__ import annotations

import base64
import io
import json
import pickle
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

from PIL import Image

from benchmarks.fuzzing.mutations import damaged
from benchmarks.serving_fuzzing.good import picture
from benchmarks.serving_fuzzing.requests import Case, post

_PNG = b"\x89PNG\r\n\x1a\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) (r) file\nshowpage\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *more: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that claims a size, whatever its rows hold."""
    first = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return _PNG + first + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@cache
def _zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


@cache
def solid(side: int) -> bytes:
    """A sound PNG of one colour: some kilobytes that become megabytes."""
    return png(side, side, _zeros((3 * side + 1) * side))


@cache
def scans(count: int, side: int = 2048) -> bytes:
    """A progressive JPEG of many scans, each of which a decoder walks through the whole picture for."""
    data = io.BytesIO()
    Image.new("L", (side, side), 128).save(data, "JPEG", progressive=True, quality=50)
    body = data.getvalue()
    start = body.rindex(b"\xff\xda")
    return body[:start] + body[start:-2] * count + body[-2:]


def _animated(kind: str) -> bytes:
    data = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green", "blue")]
    frames[0].save(data, kind, save_all=True, append_images=frames[1:])
    return data.getvalue()


def _saved(kind: str, **options: object) -> bytes:
    return picture(kind, **options)


def _jpeg_of(width: int, height: int) -> bytes:
    body = bytearray(picture("JPEG"))
    place = body.index(b"\xff\xc0")
    body[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(body)


def _webp_of(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    inner = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + picture("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


FILES: dict[str, Callable[[random.Random], bytes]] = {
    "nothing": lambda _: b"",
    "PNG cut": lambda rng: _cut(picture(), rng),
    "JPEG cut": lambda rng: _cut(picture("JPEG"), rng),
    "WebP cut": lambda rng: _cut(picture("WEBP"), rng),
    "PNG damaged": lambda rng: damaged(picture(), rng)[0],
    "JPEG damaged": lambda rng: damaged(picture("JPEG"), rng)[0],
    "WebP damaged": lambda rng: damaged(picture("WEBP"), rng)[0],
    "PNG of 2**31 by 2**31": lambda _: png((1 << 31) - 1, (1 << 31) - 1, _zeros(1000)),
    "PNG of 60,000 by 60,000": lambda _: png(60_000, 60_000, _zeros(1 << 20)),
    "PNG of 9,000 by 9,000": lambda _: solid(9_000),
    "PNG of 0 by 0": lambda _: png(0, 0, _zeros(10)),
    "PNG of 1 by 9,000": lambda _: png(1, 9_000, _zeros(9_000 * 4)),
    "PNG of 4,000 by 4,000": lambda _: solid(4_000),
    "PNG with 200 MB behind its rows": lambda _: png(8, 8, _zeros(200_000_000)),
    "PNG with a text of 200 MB": lambda _: png(8, 8, _zeros(200), chunk(b"zTXt", b"a\0\0" + _zeros(200_000_000))),
    "PNG with a profile of 200 MB": lambda _: png(8, 8, _zeros(200), chunk(b"iCCP", b"a\0\0" + _zeros(200_000_000))),
    "PNG of 3,000 chunks": lambda _: png(8, 8, _zeros(200), *[chunk(b"tEXt", b"a\0b")] * 3_000),
    "PNG with lies of depth": lambda rng: png(
        8, 8, _zeros(200), depth=rng.choice((0, 3, 16, 255)), colour=rng.randrange(8)
    ),
    "PNG with a broken chunk length": lambda _: _PNG + b"\xff\xff\xff\xffIHDR" + bytes(30),
    "APNG": lambda _: _animated("PNG"),
    "WebP animated": lambda _: _animated("WEBP"),
    "GIF": lambda _: _animated("GIF"),
    "TIFF": lambda _: _saved("TIFF"),
    "BMP": lambda _: _saved("BMP"),
    "MPO": lambda _: _animated("MPO"),
    "SVG": lambda _: SVG,
    "EPS": lambda _: EPS,
    "EPS behind PNG's mark": lambda _: _PNG + EPS,
    "JPEG of 65,500 by 65,500": lambda _: _jpeg_of(65_500, 65_500),
    "JPEG of 8,000 by 8,000": lambda _: _jpeg_of(8_000, 8_000),
    "JPEG of 0 by 9": lambda _: _jpeg_of(0, 9),
    "JPEG of 3,000 scans": lambda _: scans(3_000),
    "JPEG in CMYK": lambda _: _cmyk(),
    "WebP of 16,383 by 16,383": lambda _: _webp_of(16_383, 16_383),
    "WebP of 16,777,216 by 16,777,216": lambda _: _webp_of(1 << 24, 1 << 24),
    "RIFF alone": lambda _: b"RIFF\xff\xff\xff\xffWEBP",
    "a page": lambda _: b"<!DOCTYPE html><html>404</html>",
    "a zip": lambda _: b"PK\x03\x04" + bytes(200),
}
FINE = (
    "PNG damaged",
    "JPEG damaged",
    "WebP damaged",
    "PNG of 4,000 by 4,000",
    "PNG with lies of depth",
    "PNG cut",
    "JPEG cut",
    "WebP cut",
    "JPEG in CMYK",
    "PNG of 3,000 chunks",
    "PNG with a text of 200 MB",
    "PNG with 200 MB behind its rows",
    "PNG with a profile of 200 MB",
    "JPEG of 8,000 by 8,000",
)
"""Those that may be scored: what is damaged may still be a picture, and what is packed into it is not unpacked."""


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _cmyk() -> bytes:
    data = io.BytesIO()
    Image.new("CMYK", (16, 16), (9, 9, 9, 9)).save(data, "JPEG")
    return data.getvalue()


def file(_: object, rng: random.Random) -> Case:
    """One bad file, to one of the routes that read pictures."""
    name = rng.choice(list(FILES))
    data = FILES[name](rng)
    return rng.choice((_as_json, _as_compute, _as_turn, _as_part, _as_pickle))(name, [data], name not in FINE)


def crowd(_: object, rng: random.Random) -> Case:
    """Many pictures that each may come, and together are too many or too large."""
    count, data = rng.choice(
        ((257, picture(side=1)), (256, solid(4_000)), (40, solid(4_000)), (1025, b""), (5_000, b""))
    )
    return rng.choice((_as_json, _as_compute, _as_part, _as_pickle))(
        f"{count} files of {len(data)} bytes", [data] * count, True
    )


def _as_json(told: str, files: list[bytes], refused: bool) -> Case:
    asked = {"prompts": ["a"], "images": [{"b64": base64.b64encode(each).decode()} for each in files]}
    return post(f"{told} as JSON", "/v1/score/images", json.dumps(asked).encode(), refused=refused)


def _as_compute(told: str, files: list[bytes], refused: bool) -> Case:
    asked = {"prompt": ["a"] * len(files), "image": [base64.b64encode(each).decode() for each in files]}
    return post(f"{told} to compute", "/compute", json.dumps(asked).encode(), refused=refused)


def _as_turn(told: str, files: list[bytes], _: bool) -> Case:
    turn = [{"text": "a", "image_b64": base64.b64encode(each).decode()} for each in files]
    body = json.dumps({"requests": [{"history": turn, "required_rewards": ["dina"]}]}).encode()
    return post(f"{told} as a turn", "/score", body, refused=False)


def part(name: str, data: bytes, more: str = "") -> bytes:
    """A part of multipart."""
    return f'--b\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


def _as_part(told: str, files: list[bytes], refused: bool) -> Case:
    parts = [part("request", b'{"prompts": ["a"]}'), *(part("image", each, '; filename="a"') for each in files)]
    kind = ("content-type", "multipart/form-data; boundary=b")
    return post(f"{told} as a part", "/v1/score/images", b"".join([*parts, b"--b--\r\n"]), kind, refused=refused)


def _as_pickle(told: str, files: list[bytes], refused: bool) -> Case:
    body = pickle.dumps({"images": files, "prompts": ["a"] * len(files)})
    return post(f"{told} as a pickle", "/v1/pickle/dina", body, refused=refused)


def multipart(_: object, rng: random.Random) -> Case:
    """Multipart whose framing is broken, huge or nested."""
    request, image = part("request", b'{"prompts": ["a"]}'), part("image", picture(), '; filename="a.png"')
    end, kind = b"--b--\r\n", "multipart/form-data; boundary=b"
    good = request + image + end
    bodies: dict[str, tuple[bytes, str]] = {
        "no boundary": (good, "multipart/form-data"),
        "an empty boundary": (good, "multipart/form-data; boundary="),
        "another boundary": (good, "multipart/form-data; boundary=c"),
        "a boundary of 5,000": (good, "multipart/form-data; boundary=" + "b" * 5_000),
        "a boundary of \\xff": (good, "multipart/form-data; boundary=\xff\xfe"),
        "a charset that is none": (good, kind + "; charset=klingon"),
        "no end": (request + image, kind),
        "cut": (good[: rng.randrange(len(good))], kind),
        "20,000 parts": (request + part("image", b"") * 20_000 + end, kind),
        "20,000 fields": (part("a", b"") * 20_000 + end, kind),
        "two requests": (request + request + image + end, kind),
        "no request": (image + end, kind),
        "another part": (request + part("other", b"a") + end, kind),
        "a request of 5 MB": (part("request", b" " * 5_000_000 + b"{}") + end, kind),
        "a header of 5 MB": (part("image", b"", "; a=" + "b" * 5_000_000) + end, kind),
        "50,000 headers": (b"--b\r\n" + b"a: b\r\n" * 50_000 + b"\r\n\r\n" + end, kind),
        "no name": (b"--b\r\ncontent-disposition: form-data\r\n\r\na\r\n" + end, kind),
        "no disposition": (b"--b\r\na: b\r\n\r\na\r\n" + end, kind),
        "a name of a path": (request + part("image", b"", '; filename="../../etc/passwd"') + end, kind),
        "nested": (part("request", good.replace(b"--b", b"--c")) + end, kind),
        "mixed inside": (
            b"--b\r\ncontent-disposition: form-data; name=image\r\ncontent-type: multipart/mixed; boundary=b\r\n\r\n"
            + good,
            kind,
        ),
        "base64 inside": (
            b"--b\r\ncontent-disposition: form-data; name=request\r\ncontent-transfer-encoding: base64\r\n\r\ne30=\r\n"
            + end,
            kind,
        ),
        "line feeds alone": (good.replace(b"\r\n", b"\n"), kind),
        "near boundaries": (request + part("image", b"\r\n--" * 2_000_000) + end, kind),
        "dashes": (b"-" * 4_000_000, kind),
        "line ends": (b"\r\n" * 4_000_000, kind),
        "garbage": (rng.randbytes(2_000), kind),
        "images in both": (part("request", b'{"prompts": ["a"], "images": [{"b64": "AAAA"}]}') + image + end, kind),
        "damaged": (damaged(good, rng)[0], kind),
    }
    told = rng.choice(list(bodies))
    body, content = bodies[told]
    refused = told not in ("damaged", "cut", "no end", "a charset that is none")
    return post(
        f"multipart: {told}",
        rng.choice(("/v1/score/images", "/v1/score/images", "/v1/compare")),
        body,
        ("content-type", content),
        refused=refused,
    )
