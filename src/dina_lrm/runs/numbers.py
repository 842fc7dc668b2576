"""The numbers of a run while it goes on: metrics.jsonl, and the trackers of its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, final

from dina_lrm.runs.metrics import MetricsFile
from dina_lrm.runs.trackers import RunTrackers, Tracker


@final
class RunNumbers:
    """Where the numbers of a run go while it goes on. For the main process alone.

    with RunNumbers(folder, done, ("tensorboard",), config.to_dict()) as numbers:
        numbers.write(step, {"loss": loss, "parts": {"clip": score}})
    """

    def __init__(self, folder: Path, start: int, trackers: Sequence[Tracker], settings: Mapping[str, Any]) -> None:
        """Go on after `start` steps; what was written of later ones is dropped. Trackers are told the `settings`."""
        self._metrics = MetricsFile(folder, start)
        self._trackers = RunTrackers(trackers, folder, settings)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl, and the same to the trackers."""
        self._metrics.write(step, values)
        self._trackers.log(step, values)

    def track(self, step: int, values: Mapping[str, Any]) -> None:
        """To the trackers alone: another file of the run has them already."""
        self._trackers.log(step, values)

    def sync(self) -> None:
        """Bring them to the disk: before a checkpoint that a run may go on from without them."""
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
