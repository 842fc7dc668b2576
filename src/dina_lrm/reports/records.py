"""What was measured, as JSON files that every reader of JSON accepts."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path

from dina_lrm.rewards.addresses import without_password
from dina_lrm.runs.files import write_text
from dina_lrm.screen import whole


def write_record(path: Path, values: Mapping[str, object]) -> None:
    """Write `values` as one JSON object, whole or not at all."""
    write_text(path, record_text(values))


def record_text(values: Mapping[str, object]) -> str:
    """`values` as the text of a JSON file."""
    return json.dumps(plain(values), indent=2, allow_nan=False) + "\n"


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
    raise TypeError(f"a result holds a {type(value).__name__}, which JSON cannot say: {value!r:.80}")
