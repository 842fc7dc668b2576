"""JSON as this library reads it: strict, bounded, and every error names the file, the line and what was expected.

Refused are NaN and infinities (JSON has none), numbers that no float holds, keys that stand twice (the second would win
in silence), nesting that would exhaust the reader, text that is not UTF-8 or holds half a character. A byte-order mark
is not part of the text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from dina_lrm.typed import DinaError, from_plain

Record = TypeVar("Record")
MAX_DEPTH: Final = 64
"""Lists and objects within each other."""


def parse_json(
    text: str | bytes,
    where: str,
    constant: Callable[[str], float] | None = None,
) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a JSON text; ValueError, beginning with `where`, for what is none.

    `constant` reads NaN and infinities, which JSON has not and which are refused without.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        value = json.loads(
            text.removeprefix("\ufeff"),
            parse_constant=constant or _refuse,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
        _check_plain(value)
    except UnicodeDecodeError as error:
        raise DinaError(f"{where}: not UTF-8 text ({error}); save it as UTF-8") from error
    except RecursionError as error:
        raise DinaError(f"{where}: nested more than {MAX_DEPTH} deep; accepted: plain records") from error
    except ValueError as error:
        raise DinaError(f"{where}: not a JSON value ({error})") from error
    return value


def read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value that a file holds; FileNotFoundError without the file, ValueError as `parse_json`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    return parse_json(path.read_bytes(), str(path))


def read_diffusers_config(path: Path) -> dict[str, Any]:
    """The object of a configuration that diffusers wrote, which has -Infinity for a bound that is none (DPM++'s)."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    return _object(parse_json(path.read_bytes(), str(path), float), str(path))


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds; ValueError for anything else, naming the file."""
    return _object(read_json(path), str(path))


def read_record(kind: type[Record], path: Path) -> Record:
    """The dataclass `kind` that a file holds as a JSON object; ValueError naming the file and the key at fault."""
    return from_plain(kind, read_json_object(path), str(path))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one a line, none where there is no file.

    A last line without its line end was cut off by a kill and is left out; any other that is no object is a ValueError
    naming file and line.
    """
    return [_object(parse_json(line, where), where) for where, line in whole_lines(path)]


def whole_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each whole line of a file that grows, with the place that errors name; nothing where there is no file.

    Lines end at a line feed alone: other characters that Unicode counts as line ends are part of a text.
    """
    if not path.is_file():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        if line.strip():
            yield f"{path}, line {number}", line


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DinaError(f"{where}: holds a {type(value).__name__}; accepted: a JSON object")
    return value


def _refuse(constant: str) -> NoReturn:
    raise DinaError(f"it holds {constant}; JSON has no such number: write null, or leave the value out")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DinaError(f"the number {text:.40} is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DinaError(f"the key {twice!r} stands twice in one object")
    return found


def _check_plain(value: object, depth: int = 1) -> None:
    """Raise ValueError for half characters (lone surrogates), RecursionError for too much nesting."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise RecursionError
        if isinstance(value, dict):
            for key in value:
                _check_text(key)
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, str | dict | list):
                _check_plain(item, depth + 1)


def _check_text(text: str) -> None:
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DinaError(f"{text[:60]!r} holds half a character (a lone surrogate)")
