"""Pickles that would run something, never end, fill the memory, or are none."""

from __future__ import annotations

import pickle
import pickletools
import random
import struct
from collections.abc import Callable

import numpy as np

from benchmarks.fuzzing.mutations import damaged
from benchmarks.serving_fuzzing.good import PROMPTS, picture
from benchmarks.serving_fuzzing.requests import Case, post

ALLOWED = frozenset(
    "PROTO FRAME STOP MARK MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE "
    "TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS SHORT_BINUNICODE BINUNICODE SHORT_BINBYTES BINBYTES BININT "
    "BININT1 BININT2 LONG1 BINFLOAT NEWTRUE NEWFALSE NONE".split()
)
FORBIDDEN = tuple(opcode for opcode in pickletools.opcodes if opcode.name not in ALLOWED)
_ARGUMENT = {
    "stringnl": b"'a'\n",
    "stringnl_noescape": b"a\n",
    "stringnl_noescape_pair": b"os\nsystem\n",
    "unicodestringnl": b"a\n",
    "decimalnl_short": b"1\n",
    "decimalnl_long": b"1L\n",
    "floatnl": b"1.5\n",
    "long4": b"\1\0\0\0a",
    "string1": b"\1a",
    "string4": b"\1\0\0\0a",
    "bytes8": b"\1\0\0\0\0\0\0\0a",
    "bytearray8": b"\1\0\0\0\0\0\0\0a",
    "unicodestring8": b"\1\0\0\0\0\0\0\0a",
    "int4": b"\1\0\0\0",
    "uint1": b"\1",
    "uint2": b"\1\0",
    "uint4": b"\1\0\0\0",
    "uint8": bytes(8),
}
_PLACES = (b"", b")", b"]", b"}", b"(", b"\x8c\x02os\x8c\x06system", b"cos\nsystem\n(\x8c\x02ls\x85")


class Runs:
    """Whoever unpickles this calls a function."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Say which."""
        return eval, ("print('reached')",)


def good() -> bytes:
    """A pickle that is right."""
    return pickle.dumps({"images": [picture("JPEG")] * 2, "prompts": PROMPTS, "metadata": {}}, 4)


def opcode(_: object, rng: random.Random) -> Case:
    """A forbidden opcode, at the beginning, inside, or behind values that it would take."""
    chosen = rng.choice(FORBIDDEN)
    name = "" if chosen.arg is None else chosen.arg.name
    code = chosen.code.encode("latin-1") + _ARGUMENT.get(name, b"")
    before = rng.choice(_PLACES)
    body = rng.choice(
        (
            b"\x80\x04" + before + code + b".",
            b"\x80\x04}(\x8c\x06images" + before + code + b"u.",
            good()[:-1] + code + b".",
        )
    )
    return post(f"opcode {chosen.name} behind {before[:8]!r}", "/v1/pickle/dina", body)


def _long(count: int) -> bytes:
    return b"\x8b" + struct.pack("<i", count) + b"\x7f" * count


def _colliding() -> bytes:
    """A dictionary of 30,000 keys that all have one hash."""
    keys = (number * ((1 << 61) - 1) for number in range(1, 30_000))
    return b"\x80\x04}(" + b"".join(b"\x8a\x10" + key.to_bytes(16, "little") + b"N" for key in keys) + b"u."


def _memo_bomb() -> bytes:
    """Lists of lists that stand nine deep for ten to the nine values."""
    body = b"\x80\x04\x8c\x01a"
    for number in range(9):
        body += b"q" + bytes([number]) + b"](" + (b"h" + bytes([number])) * 10 + b"e"
    return body + b"."


STRANGE: dict[str, Callable[[random.Random], bytes]] = {
    "a call": lambda rng: pickle.dumps({"images": [Runs()], "prompts": ["a"]}, rng.randrange(6)),
    "an array": lambda rng: pickle.dumps({"images": np.zeros(3), "prompts": ["a"]}, rng.randrange(6)),
    "a function": lambda rng: pickle.dumps(print, rng.randrange(6)),
    "a set": lambda rng: pickle.dumps({"images": {1, 2}}, rng.randrange(6)),
    "an old protocol": lambda rng: pickle.dumps({"images": [b"a"], "prompts": ["a"]}, rng.randrange(3)),
    "protocol 200": lambda _: b"\x80\xc8" + good()[2:],
    "nothing": lambda _: b"",
    "no end": lambda _: good()[:-1],
    "more behind": lambda _: good() + b".",
    "twice": lambda _: good() + good(),
    "a memo bomb": lambda _: _memo_bomb(),
    "200,000 opcodes": lambda _: b"\x80\x04" + b"]" * 200_000 + b".",
    "50,000 deep": lambda _: b"\x80\x04" + b"](" * 45_000 + b"e" * 45_000 + b".",
    "a circle": lambda _: b"\x80\x04]q\x00h\x00a.",
    "a circle of two": lambda _: b"\x80\x04]q\x00]q\x01h\x00ah\x01a.",
    "keys of one hash": lambda _: _colliding(),
    "marks": lambda _: b"\x80\x04" + b"(" * 90_000 + b".",
    "an empty stack": lambda rng: (
        b"\x80\x04" + rng.choice((b".", b"\x87.", b"a.", b"s.", b"u.", b"e.", b"t.", b"\x94.", b"h\x09."))
    ),
    "tuples of nothing": lambda rng: b"\x80\x04" + rng.choice((b"\x85", b"\x86", b"\x87")) * rng.choice((1, 9)) + b".",
    "an integer of 255 bytes": lambda _: b"\x80\x04\x8a\xff" + b"\x7f" * 255 + b".",
    "an integer of 8 MB": lambda _: b"\x80\x04" + _long(8 << 20) + b".",
    "a text of 4 GB": lambda _: b"\x80\x04X\xff\xff\xff\xffabc.",
    "bytes of 2**63": lambda _: b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "bytes of -1": lambda _: b"\x80\x04T\xff\xff\xff\xffabc.",
    "a frame of 2**62": lambda _: b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x3fN.",
    "a decimal of 100,000 digits": lambda _: b"\x80\x04L" + b"7" * 100_000 + b"L\n.",
    "half a character": lambda _: b"\x80\x04\x8c\x03\xed\xa0\x80.",
    "a memo of 2**31": lambda _: b"\x80\x04Nr\xff\xff\xff\x7f.",
    "a list": lambda _: pickle.dumps([1], 4),
    "texts for images": lambda _: pickle.dumps({"images": ["a"], "prompts": ["a"]}, 4),
    "bytes for prompts": lambda _: pickle.dumps({"images": [b"a"], "prompts": [b"a"]}, 4),
    "one prompt for two": lambda _: pickle.dumps({"images": [picture()] * 2, "prompts": ["a"]}, 4),
    "an edit": lambda _: pickle.dumps({"images": {"source": [b"a"], "edited": [b"a"]}, "prompts": ["a"]}, 4),
    "no prompts": lambda _: pickle.dumps({"images": [picture()]}, 4),
    "an empty prompt": lambda _: pickle.dumps({"images": [picture()], "prompts": [" "]}, 4),
    "300,000 images": lambda _: (
        b"\x80\x04}(\x8c\x06images](" + b"C\x01a" * 90_000 + b"e\x8c\x07prompts](" + b"e" + b"u."
    ),
}


def strange(_: object, rng: random.Random) -> Case:
    """A pickle of the kind that breaks readers."""
    told = rng.choice(list(STRANGE))
    path = rng.choice(
        ("/v1/pickle/dina", "/v1/pickle/dina", "/v1/pickle/dina/", "/v1/pickle/other", "/v1/pickle/sharp")
    )
    return post(f"pickle: {told}", path, STRANGE[told](rng))


def broken(_: object, rng: random.Random) -> Case:
    """A right pickle that is cut or damaged."""
    body = good()
    if rng.random() < 0.5:
        body = body[: rng.randrange(len(body))]
        return post(f"pickle cut at {len(body)}", "/v1/pickle/dina", body)
    found, told = damaged(body, rng)
    return post(f"pickle: {told}", "/v1/pickle/dina", found, refused=False)
