"""One line that tells how a long work goes on: how much of it, its numbers, its rate, and the time left.

    training ━━━━━━━━━━ 43/100  43%  loss 0.5312  accuracy 0.71  83 pairs/s  1:02 left

In a terminal it is drawn anew, in a notebook at every hundredth of the work; in a log it is printed at every tenth and
at least once a minute, with `--verbose` at every hundredth.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final

from dina_lrm.live.words import rate_text, time_text
from dina_lrm.screen import Screen, escaped

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_WINDOW: Final = 60.0
"""Seconds that the rate is taken over: what was slow at the start is soon forgotten."""
_SILENCE: Final = 60.0
"""Seconds after which a log gets a line, however little was done."""


class LiveLine:
    """A line on standard error that is called with (done, total), and with what is to be said of the work.

    `unit` is one of what is done, such as "pair"; without it the rate is not said. Nothing is shown when `quiet`.
    """

    def __init__(
        self, title: str, unit: str = "", quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title, self._unit, self._quiet, self._clock = escaped(title), unit, quiet, clock
        self._screen = Screen(quiet, "stderr")
        self._seen: deque[tuple[float, int]] = deque()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._printed, self._told = -1, -1e9

    def __enter__(self) -> LiveLine:
        if not self._quiet and self._screen.console.is_terminal:
            self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int, said: str = "", rate: float | None = None) -> None:
        """So much is done; `said` are its numbers, `rate` that of the units where they are not what is counted."""
        if self._quiet:
            return
        now = self._clock()
        text = f"{done:,}/{total:,}  {100 * done // max(total, 1)}%{self._told_of(now, done, total, said, rate)}"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, said=text)
            return
        fine = self._screen.in_notebook or logging.getLogger("dina_lrm").isEnabledFor(logging.DEBUG)
        parts = 100 if fine else 10
        part = parts * done // max(total, 1)
        if part != self._printed or now - self._told >= _SILENCE:
            self._printed, self._told = part, now
            self._screen.status(f"{self._title}: {text}")

    def say(self, message: str) -> None:
        """One line of its own."""
        self._screen.print(message)

    def _told_of(self, now: float, done: int, total: int, said: str, rate: float | None) -> str:
        """The numbers behind the share; each but the first is there where it is known."""
        if self._seen and done < self._seen[-1][1]:  # the next part of a work
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()
        (began, first), each = self._seen[0], 0.0
        if now > began and done > first:
            each = (done - first) / (now - began)
        known = rate if rate is not None else each
        left = f"{time_text((total - done) / each)} left" if each and done < total else ""
        words = (said, rate_text(known, self._unit) if self._unit else "", left)
        return "".join(f"  {word}" for word in words if word)

    def _draw(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[said]}", markup=False),
        )
        self._bar = Progress(*columns, console=self._screen.console)
        self._task = self._bar.add_task(self._title, total=None, said="")
        self._bar.start()
