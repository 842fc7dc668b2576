"""What the library notes and warns of while a command runs, a line each; what other libraries note is left out."""

from __future__ import annotations

import logging
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from dina_lrm import __version__
from dina_lrm.screen import escaped, say


@contextmanager
def notices(name: str, quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """Inside, our notes, such as which weights are read, and our warnings are told on standard error.

    Warnings of other libraries speak to programmers: they are shown where Python is asked to (`-W`, `PYTHONWARNINGS`),
    with `DINA_LRM_DEBUG=1`, and when `verbose`, which also tells versions and what is loaded where.
    """
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())  # else warnings are printed for want of a handler
    log, handler, level = logging.getLogger("dina_lrm"), _Lines(), logging.getLogger("dina_lrm").level
    log.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    log.addHandler(handler)
    log.debug("%s", _versions())
    try:
        with warnings.catch_warnings():
            if not verbose and not sys.warnoptions and os.environ.get("DINA_LRM_DEBUG") != "1":
                warnings.showwarning = lambda message, category, *_: _show(name, message, category, quiet)
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _versions() -> str:
    """What decides numbers, as installed; nothing is imported for it."""
    names = ("torch", "diffusers", "transformers", "peft")
    told = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return f"dina-lrm {__version__} on Python {platform.python_version()}, {told}"


def _show(name: str, message: Warning | str, category: type[Warning], quiet: bool) -> None:
    if category.__module__.startswith("dina_lrm") and not quiet:
        say(f"dina-lrm {name}: warning: {escaped(message)}", "stderr")


class _Lines(logging.Handler):
    """Notes as lines, each once: a table that is read twice is the same table."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = escaped(record.getMessage())
        if line not in self._told:
            self._told.add(line)
            say(line, "stderr")
