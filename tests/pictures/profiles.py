"""Colour profiles made by hand: a matrix of primaries and a gamma, or a grey gamma."""

import struct

from PIL import ImageCms

_WHITE = (0.9642, 1.0, 0.8249)
_P3 = {b"rXYZ": (0.51512, 0.2412, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189), b"bXYZ": (0.1571, 0.06657, 0.78407)}


def display_p3(gamma: float = 2.2) -> bytes:
    """A profile of RGB with the primaries of Display P3."""
    colours = {tag: _xyz(*value) for tag, value in _P3.items()}
    return _profile(b"RGB ", colours | {tag: _gamma(gamma) for tag in (b"rTRC", b"gTRC", b"bTRC")})


def grey(gamma: float) -> bytes:
    """A profile of grey."""
    return _profile(b"GRAY", {b"kTRC": _gamma(gamma)})


def srgb() -> bytes:
    """sRGB itself, as editors store it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _profile(space: bytes, more: dict[bytes, bytes]) -> bytes:
    named = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + b"\0" * 79,
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
    }
    tags = {b"wtpt": _xyz(*_WHITE), **more, **named}
    index, data, start = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        index += name + struct.pack(">II", start + len(data), len(value))
        data += value + b"\0" * (-len(value) % 4)
    body = struct.pack(">I", len(tags)) + index + data
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"lcms", 0x02100000, b"mntr", space, b"XYZ ") + b"\0" * 12
    return head + b"acsp" + b"\0" * 28 + struct.pack(">iii", 63190, 65536, 54061) + b"\0" * 48 + body


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"
