"""Signals as a request, where the step is finished and the state saved, and as an exception that unwinds a command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether and why the run was asked to stop."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def __bool__(self) -> bool:
        return self.signal_name is not None

    @property
    def reason(self) -> str:
        """The signal's name; without one of its own, another process of the run was asked."""
        return self.signal_name or "a signal to another process"


def stopped_sentence(reason: str, done: int, total: int, unit: str = "step", goes_on: str = "resume") -> str:
    """What a run says that stopped on request after `done` of its `total` steps; `goes_on` is what continues it."""
    return f"stopped by {reason} after {unit} {done} of {total}; the state is saved, {goes_on} goes on"


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Catch the first SIGINT or SIGTERM as a request; a second one acts at once, as usual.

    Signals reach the main thread only: elsewhere (a studio's worker) the request simply never comes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: FrameType | None) -> None:
        request.signal_name = signal.Signals(number).name
        for other, handler in previous.items():
            signal.signal(other, handler)

    for number in previous:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Stopped(KeyboardInterrupt):
    """The process was asked to end."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM, and the end of the terminal, raise `Stopped` in the block, where nobody else handles them."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []
    numbers = [number for number in (getattr(signal, name) for name in names) if _unhandled(number)]
    process = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a worker that was forked ends as it would without us
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        raise Stopped

    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            if signal.getsignal(number) is stop:
                signal.signal(number, signal.SIG_DFL)


def _unhandled(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_DFL  # nohup ignores the end of the terminal
