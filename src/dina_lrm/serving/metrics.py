"""Counts and times of a server, in the text format that Prometheus reads."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, final

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0)
"""Upper ends of the histograms' buckets, in seconds."""


@final
class Histogram:
    """How many times lay below each of `BOUNDS`, their sum and number."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count a time."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """The lines of the text format."""
        below = 0
        for bound, count in zip((*BOUNDS, float("inf")), self.counts, strict=True):
            below += count
            edge = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield f'{name}_bucket{{{labels},le="{edge}"}} {below}'
        yield f"{name}_sum{{{labels}}} {self.total:.6f}"
        yield f"{name}_count{{{labels}}} {below}"


@final
class Metrics:
    """What a server did so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._items: Counter[str] = Counter()
        self._times: dict[str, Histogram] = {}
        self._queue: dict[str, Histogram] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request with its status and time."""
        with self._lock:
            self._requests[route, status] += 1
            self._times.setdefault(route, Histogram()).add(seconds)

    def scored(self, model: str, items: int, queue_seconds: float) -> None:
        """Count items that got scores, and the longest of their waits."""
        with self._lock:
            self._items[model] += items
            self._queue.setdefault(model, Histogram()).add(queue_seconds)

    def text(self, now: Mapping[str, float | int]) -> str:
        """All of it; `now` has the values of the moment by name."""
        with self._lock:
            lines = [f'dina_lrm_requests_total{{route="{r}",status="{s}"}} {n}' for (r, s), n in self._requests.items()]
            lines += [f'dina_lrm_items_total{{model="{model}"}} {n}' for model, n in self._items.items()]
            for route, histogram in self._times.items():
                lines += histogram.lines("dina_lrm_request_seconds", f'route="{route}"')
            for model, histogram in self._queue.items():
                lines += histogram.lines("dina_lrm_queue_seconds", f'model="{model}"')
        lines += [f"dina_lrm_{name} {value:g}" for name, value in now.items()]
        return "\n".join(lines) + "\n"
