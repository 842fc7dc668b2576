"""The `--json` file of a command: one JSON object, written whole or not at all, never that of another command."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from dina_lrm.cli.common import UserError
from dina_lrm.cli.places import check_file
from dina_lrm.rewards.bounded_http import without_password
from dina_lrm.screen import whole

_NOT_ENDED = "the command has not ended, or was killed"
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}


def begin_json(path: Path | None, others: Iterable[str | Path] = ()) -> None:
    """Refuse a `--json` target before the work is done rather than after it, and take an old result away.

    What lay there is replaced by an object that says that the command has not ended: whatever ends it, nobody reads the
    result of another one. Raises UserError for a target that cannot be written, or that is one of `others`, the files
    that the command reads or writes.
    """
    if path is None:
        return
    same = next((other for other in others if _same(path, Path(other))), None)
    if same is not None:
        raise UserError(f"--json {path}: the command works on that file; accepted: another name")
    check_file("--json", path)
    if path.is_file() and path.suffix.lower() != ".json" and not _holds_result(path):
        raise UserError(f"--json {path}: holds something else than a result; accepted: another name")
    if path.is_file() and _descriptor(path) is None:
        write_json(path, {"error": _NOT_ENDED})


def write_json(path: Path | None, result: Mapping[str, object]) -> None:
    """Write `result` to `path`, whole or not at all; a device or a pipe is written to as it is; None is nowhere."""
    if path is None:
        return
    from dina_lrm.runs.files import write_text

    text = json.dumps(plain(result), indent=2, allow_nan=False) + "\n"
    descriptor = _descriptor(path)
    if descriptor is not None:
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _holds_result(path: Path) -> bool:
    """Whether a file is empty or holds a JSON object, as commands write it; a stream is none of both."""
    if _descriptor(path) is not None or path.stat().st_size == 0:
        return True
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except (ValueError, RecursionError):
        return False


def _descriptor(path: Path) -> int | None:
    """The number of an open stream that a name like /dev/stdout stands for: even where it is a file, it is appended."""
    found = _DESCRIPTOR.fullmatch(str(path))
    return int(found.group(1)) if found else _STANDARD.get(str(path))


def _same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def plain(value: object) -> object:
    """`value` in JSON's own types: dataclasses as objects, paths as text, non-finite numbers as null.

    Passwords of rewards are left out.
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str | Path):
        return whole(without_password(str(value)))
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {whole(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise TypeError(f"a command's result holds a {type(value).__name__}, which JSON cannot say: {value!r:.80}")
