"""The `--json` file of a command: one JSON object, written whole or not at all, never that of another command."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from dina_lrm.console.common import CommandFailed, UserError
from dina_lrm.reports.records import record_text
from dina_lrm.runs.files import write_text
from dina_lrm.runs.places import check_file

_NOT_ENDED = "the command has not ended, or was killed"
_MADE_BY = "made_by"
_ENDS_BESIDE = (".settings.json", ".problems.jsonl", ".partial.jsonl")
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}


def begin_json(path: Path | None, others: Iterable[str | Path] = ()) -> None:
    """Refuse a `--json` target before the work is done rather than after it, and take an old result away.

    What lay there is replaced by an object that says that the command has not ended: whatever ends it, nobody reads the
    result of another one. Raises ValueError for a target that cannot be written, that is one of `others`, the files and
    folders that the command reads or writes, or lies in one of them and is no result.
    """
    if path is None:
        return
    named = [Path(other) for other in others if other != ""]
    if any(_same(path, place) for other in named for place in (other, *map(other.with_name, _beside(other)))):
        raise UserError(f"--json {path}: the command works on that file; accepted: another name")
    check_file("--json", path)
    if path.is_file() and not _replaceable(path, named):
        raise UserError(f"--json {path}: holds something else than a result; accepted: another name")
    if path.is_file() and _descriptor(path) is None:
        write_json(path, {"error": _NOT_ENDED})


def keep_json(path: Path | None, result: Mapping[str, object], name: str, others: Iterable[str | Path] = ()) -> None:
    """Write the result of the command `name`, or its `error`; in a folder of the command it says whose it is.

    Raises CommandFailed where the command has written a file of its own to that name meanwhile: that one stays.
    """
    named = [Path(other) for other in others if other != ""]
    if path is not None and path.is_file() and not _replaceable(path, named):
        raise CommandFailed(f"--json {path}: the command has written that file itself; the result is not kept")
    if path is not None and "error" not in result and any(_within(path, other) for other in named):
        result = {_MADE_BY: f"dina-lrm {name}", **result}
    write_json(path, result)


def write_json(path: Path | None, result: Mapping[str, object]) -> None:
    """Write `result` to `path`, whole or not at all; a device or a pipe is written to as it is; None is nowhere."""
    if path is None:
        return
    text = record_text(result)
    descriptor = _descriptor(path)
    if descriptor is not None:
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _replaceable(path: Path, others: Iterable[Path]) -> bool:
    """Whether a file may be written over: it is a stream, is empty, or holds a result.

    A result is a JSON object; among the files of the command, where configurations are objects too, one that says so.
    """
    if _descriptor(path) is not None or path.stat().st_size == 0:
        return True
    text = path.read_text(encoding="utf-8", errors="replace")
    value = _value(text)
    if any(_within(path, other) for other in others):
        return isinstance(value, dict) and ("error" in value or _MADE_BY in value)
    # What no longer can be read was a result if it is called like one; the first row of a table can be
    spoilt = value is None and path.suffix.lower() == ".json" and _value(text.partition("\n")[0]) is None
    return isinstance(value, dict) or spoilt


def _value(text: str) -> object:
    """The value of a JSON text, None for what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _within(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return False


def _beside(other: Path) -> tuple[str, ...]:
    """Names of what commands write beside a table."""
    return tuple(f"{other.name}{end}" for end in _ENDS_BESIDE) if other.name else ()


def _descriptor(path: Path) -> int | None:
    """The number of an open stream that a name like /dev/stdout stands for: even where it is a file, it is appended."""
    found = _DESCRIPTOR.fullmatch(str(path))
    return int(found.group(1)) if found else _STANDARD.get(str(path))


def _same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or os.path.samefile(one, other)
    except (OSError, ValueError):
        return False
