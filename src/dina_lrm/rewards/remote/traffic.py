"""What a client sent and received so far."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields, replace
from typing import final


@dataclass(frozen=True)
class Counts:
    """Totals since a client was made; bytes are those of HTTP, headers and bodies, before encryption."""

    attempts: int = 0
    retries: int = 0
    """Attempts after the first of a request."""
    connections: int = 0
    prompts_sent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __sub__(self, before: Counts) -> Counts:
        return Counts(*(getattr(self, field.name) - getattr(before, field.name) for field in fields(self)))


@final
class Traffic:
    """Counts that several threads add to."""

    def __init__(self) -> None:
        self._counts, self._lock = Counts(), threading.Lock()

    def add(self, **more: int) -> None:
        """Add to the counts by their names."""
        with self._lock:
            self._counts = replace(
                self._counts, **{name: getattr(self._counts, name) + count for name, count in more.items()}
            )

    @property
    def counts(self) -> Counts:
        """The totals now."""
        return self._counts
