"""The numbers of an alignment run while it goes on: metrics.jsonl, and the trackers of its configuration."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import final

from dina_lrm.alignment.algorithms.algorithm import Outcome
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.monitor.looks import Look
from dina_lrm.runs.metrics import MetricsFile
from dina_lrm.runs.trackers import RunTrackers


@final
class RunNumbers:
    """Where the numbers of a run go while it goes on: metrics.jsonl and trackers."""

    def __init__(self, config: AlignConfig, folder: Path, start: int) -> None:
        """Go on after `start` updates; what was written of later ones is dropped."""
        self._metrics = MetricsFile(folder, start)
        self._trackers = RunTrackers(config.trackers, folder, config.to_dict())

    def of_update(self, step: int, outcome: Outcome) -> None:
        """One line of metrics.jsonl, and the same to the trackers."""
        plain = asdict(outcome)
        values = {**plain.pop("details"), **plain}
        self._metrics.write(step, values)
        self._trackers.log(step, values)

    def of_look(self, look: Look) -> None:
        """To the trackers alone: monitor.jsonl has them already."""
        self._trackers.log(look.step, {"look": look.means()})

    def sync(self) -> None:
        """Bring them to the disk."""
        self._metrics.sync()

    def __enter__(self) -> RunNumbers:
        self._metrics.__enter__()
        self._trackers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._trackers.__exit__(kind, error, trace)
        self._metrics.__exit__(kind, error, trace)
