"""How a work reports that it goes on: to plain functions, which whoever watches gives."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

ReportProgress = Callable[[int, int], None]
"""Called with (done, total) as a work goes on."""
TitledProgress = Callable[[str], AbstractContextManager[ReportProgress]]
"""Begins a part of a work under a title; what it gives is called with (done, total) of that part."""


def silent(title: str) -> AbstractContextManager[ReportProgress]:
    """The progress of a work that nobody watches."""
    return nullcontext(lambda done, total: None)
