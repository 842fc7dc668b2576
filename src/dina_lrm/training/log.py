"""What a run says while it goes on: running means, and a bar in a terminal or lines in a log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dina_lrm.screen import Screen
from dina_lrm.training.totals import PairTotals


class StepBar:
    """Progress on standard error: a bar with loss, accuracy and pairs a second, or a line every tenth of the run."""

    def __init__(self, total: int, done: int, shown: bool) -> None:
        self._screen = Screen(not shown, "stderr")
        self._total = total
        self._tenth = 10 * done // total
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if shown and self._screen.console.is_terminal:
            said = TextColumn("{task.fields[said]}", markup=False)
            columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), said)
            self._bar = Progress(*columns, console=self._screen.console)
            self._task = self._bar.add_task("training", total=total, completed=done, said="")

    def __enter__(self) -> StepBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, step: int, values: Mapping[str, float]) -> None:
        """`step` steps are done, with the latest running values."""
        said = f"loss {values['loss']:.4f}  accuracy {values['accuracy']:.3f}  {values['pairs_per_second']:.0f} pairs/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, said=said)
        elif 10 * step // self._total > self._tenth:
            self._tenth = 10 * step // self._total
            self._screen.print(f"step {step}/{self._total}  {said}")

    def say(self, message: str) -> None:
        """One line above the bar."""
        self._screen.print(message)


class RunningMeans:
    """Totals over the steps since they were last read: means are taken over pairs, never over batch means."""

    def __init__(self) -> None:
        self._totals = PairTotals()
        self._norms: list[float] = []
        self._clear()

    def add(self, totals: PairTotals, gradient_norm: float) -> None:
        """What one step saw."""
        self._totals += totals
        self._norms.append(gradient_norm)

    def read(self) -> dict[str, float]:
        """The means since the last `clear`; accuracy is NaN when only ties were seen."""
        totals, seconds = self._totals, time.perf_counter() - self._since
        return {
            "loss": totals.mean_loss,
            "accuracy": totals.accuracy,
            "margin": totals.margin / totals.pairs,
            "gradient_norm": sum(self._norms) / len(self._norms),
            "pairs_per_second": totals.pairs / max(seconds, 1e-9),
        }

    def take(self) -> dict[str, float]:
        """`read`, then start anew."""
        values = self.read()
        self._clear()
        return values

    def _clear(self) -> None:
        self._totals = PairTotals()
        self._norms = []
        self._since = time.perf_counter()
