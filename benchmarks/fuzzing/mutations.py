"""What is done to good inputs: to bytes, to JSON values, to single cells."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = (
    "", " ", "nan", "inf", "-1", "1e999", "null", "true", "\x00", "\r", "\u2028", "\ud83d", "\x1b[2J", "[/red]", "$^$",
    "a" * 5000, "../../etc/passwd", "\ufeffa", "\u202egnp.exe", "\U0001f600" * 40, '"', "'", "{", "=1+1",
)  # fmt: skip
NUMBERS = (float("nan"), float("inf"), -1, 0, 2, 0.5, 1e308, 10**40, -(10**18), 1e-320, True)
NAMES = (
    "n" * 300, "a\nb", "[bold]x[/y]", "\U0001f600", "caf\udce9", "a\x1b[31mb", "-dash", "two  words", "$x$", "a'b\"c",
)  # fmt: skip


def damaged(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """The bytes after one accident, and which it was."""
    kinds: dict[str, Callable[[], bytes]] = {
        "empty": lambda: b"",
        "cut": lambda: data[: rng.randrange(len(data) + 1)],
        "a bit flipped": lambda: _flipped(data, rng, 1),
        "64 bits flipped": lambda: _flipped(data, rng, 64),
        "zeros inside": lambda: _zeros(data, rng),
        "garbage": lambda: rng.randbytes(rng.choice((1, 100, 5000))),
        "garbage behind": lambda: data + rng.randbytes(100),
        "twice": lambda: data + data,
        "text": lambda: b"<!DOCTYPE html><html>404</html>",
        "a pointer of git-lfs": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "deep JSON": lambda: b"[" * 100_000,
        "UTF-16": lambda: data.decode("latin-1").encode("utf-16"),
    }
    name = rng.choice(list(kinds))
    return kinds[name](), name


def damage_file(path: Path, rng: random.Random) -> str:
    """Damage a file in its place; returns what happened, "unchanged" where nothing did."""
    before = path.read_bytes()
    after, name = damaged(before, rng)
    path.write_bytes(after)
    return f"{path.name}: {name}" if after != before else "unchanged"


def damage_json(path: Path, rng: random.Random) -> str:
    """Change one value of a JSON file to one of another type or size, or leave a key out, or add one."""
    value = json.loads(path.read_text(encoding="utf-8"))
    place, told = value, path.name
    while isinstance(place, dict | list) and place:
        key: Any = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        told += f"[{key!r}]"
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.7:
            place = place[key]
            continue
        told += _change(place, key, rng)
        break
    path.write_text(json.dumps(value), encoding="utf-8")
    return told


def _change(place: Any, key: Any, rng: random.Random) -> str:  # noqa: ANN401 - a JSON object or list
    if rng.random() < 0.2:
        del place[key]
        return " left out"
    if isinstance(place, dict) and rng.random() < 0.15:
        place[f"{key}x"] = place.pop(key)
        return " renamed"
    place[key] = rng.choice((*NUMBERS, *WORDS[:12], None, [], {}, [1, "a"], {"a": 1}))
    return f" = {place[key]!r:.60}"


def _flipped(data: bytes, rng: random.Random, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _zeros(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    length = min(rng.choice((1, 16, 512)), len(data) - start)
    return data[:start] + bytes(length) + data[start + length :]
