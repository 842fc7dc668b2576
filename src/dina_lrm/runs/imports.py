"""Importing large libraries, and ending with them, without looking for garbage in what is there to stay."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Python's collector of garbage rests while large libraries are imported inside.

    What they make is there to stay, and to look through it again and again takes a sixth of the time that importing
    torch and diffusers takes. A collector that the caller had turned off stays off.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def leave_quickly() -> None:
    """Look for no garbage when the process ends, which is about to give all of it back: a second, with diffusers.

    Only for programs: objects in cycles are then not told of the end. What has to be done there stands in `atexit`.
    """
    atexit.unregister(gc.freeze)  # once, however often this is called
    atexit.register(gc.freeze)
