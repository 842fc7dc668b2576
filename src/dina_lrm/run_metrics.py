"""The numbers of a run while it goes on: `metrics.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

METRICS_FILE = "metrics.jsonl"


class MetricsFile:
    """`metrics.jsonl`: one JSON object a line, each with its `step`; flushed line by line."""

    def __init__(self, folder: Path, resumed_step: int = 0) -> None:
        """Open for appending; what a killed run logged after the step it is resumed from is dropped."""
        self.path = folder / METRICS_FILE
        kept = [line for line in read_lines(self.path) if line["step"] <= resumed_step]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, float | Mapping[str, float]]) -> None:
        """Append one line; values that JSON cannot hold (no pair was decided, say) are null."""
        finite = {key: _finite(value) for key, value in values.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics file, an empty list when there is none; a line cut off by a kill is skipped."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def _finite(value: float | Mapping[str, float]) -> float | dict[str, Any] | None:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return value if value - value == 0 else None
