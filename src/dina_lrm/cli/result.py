"""The `--json` file of a command: one JSON object, written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from dina_lrm.cli.common import UserError


def check_writable(path: Path | None) -> None:
    """Refuse a `--json` target before the work is done rather than after it."""
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"--json: {path} is a folder; give the name of a file")
    path.parent.mkdir(parents=True, exist_ok=True)


def write_json(path: Path | None, result: Mapping[str, object]) -> None:
    """Write `result` to `path`, through a temporary file beside it; nothing is written when `path` is None."""
    if path is None or path.is_dir():
        return
    text = json.dumps(plain(result), indent=2, allow_nan=False) + "\n"
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def plain(value: object) -> object:
    """`value` in JSON's own types: dataclasses as objects, paths as text, non-finite numbers as null."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise TypeError(f"a command's result holds a {type(value).__name__}, which JSON cannot say: {value!r:.80}")
