"""The numbers of a run while it goes on: `metrics.jsonl`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from dina_lrm.runs.files import write_text
from dina_lrm.runs.json_files import parse_json, whole_lines
from dina_lrm.typed import DinaError

METRICS_FILE = "metrics.jsonl"


class MetricsFile:
    """`metrics.jsonl`: one JSON object a line, each with its `step`; readers see a line as soon as it is written."""

    def __init__(self, folder: Path, resumed_step: int = 0) -> None:
        """Open for appending; what a killed run logged after the step it is resumed from is dropped."""
        self.path = folder / METRICS_FILE
        kept = [line for line in read_lines(self.path) if line["step"] <= resumed_step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        if not self.path.is_file() or self.path.read_bytes() != text.encode():
            write_text(self.path, text)
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, float | Mapping[str, float]]) -> None:
        """Append one line; values that JSON cannot hold (no pair was decided, say) are null."""
        finite = {key: _finite(value) for key, value in values.items()}
        self._file.write(json.dumps({"step": step, **finite}, allow_nan=False) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Bring all lines to the disk: before a checkpoint that a run may go on from without them."""
        os.fsync(self._file.fileno())

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync()
        self._file.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics file, an empty list when there is none; a last line cut off by a kill is left out.

    Raises ValueError naming file and line for a line that is no object with a whole number as its `step`.
    """
    return [_line(parse_json(text, where), where) for where, text in whole_lines(path)]


def _line(value: object, where: str) -> dict[str, Any]:
    step = value.get("step") if isinstance(value, dict) else None
    if not isinstance(value, dict) or isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise DinaError(f"{where}: got {value!r:.80}; accepted: an object whose 'step' is a whole number")
    return value


def _finite(value: float | Mapping[str, float]) -> float | dict[str, Any] | None:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return value if value - value == 0 else None
