r"""Steps whose loss or gradient norm stands far above those before them: named, written down, passed over or an end.

    z(x) = (x - median) / (1.4826 MAD),     over the last `window` steps; 1.4826 MAD is a normal's standard deviation

A median follows the run and is moved by no single step, nor by a few. The steps that were spikes count among those
before the next one, so that a lasting change is soon no spike. What was seen is part of a checkpoint, and a resumed run
judges as one that never stopped. A NaN or an infinity never comes here: it ended the run (`faults.py`).
"""

from __future__ import annotations

import json
import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from dina_lrm.runs.files import append_line, write_text
from dina_lrm.runs.json_files import parse_json, whole_lines
from dina_lrm.training.spike_settings import SpikeSettings
from dina_lrm.typed import DinaError, from_plain_value

MEASURES: Final = ("loss", "gradient_norm")
STATE: Final = "spikes"
"""Where the values of a checkpoint hold what was seen."""
_NORMAL: Final = 1.4826
_LEAST_SPREAD: Final = 0.01
"""Share of the median that is the smallest spread: steps that are all but equal make no spike of rounding."""


class SpikeError(RuntimeError):
    """A spike ended the run, as `spikes.action` asked for; the message names the pairs."""


@dataclass(frozen=True)
class Spike:
    """A step that stands out: by which measure, its value, and its robust z score. `step` counts from 1."""

    step: int
    measure: Literal["loss", "gradient_norm"]
    value: float
    median: float
    z: float
    action: str

    @property
    def told(self) -> str:
        """A sentence."""
        done = {"warn": "it was applied", "skip": "it was not applied", "stop": "it was not applied"}[self.action]
        name = self.measure.replace("_", " ")
        return f"step {self.step}: {name} {self.value:.4g} where {self.median:.4g} is usual (z {self.z:.0f}); {done}"


class SpikeGuard:
    """Judges each step by those before it.

    guard = SpikeGuard(config.spikes)
    spike = guard.judge(step, {"loss": loss, "gradient_norm": norm})
    """

    def __init__(self, settings: SpikeSettings) -> None:
        self._settings = settings
        self._seen: dict[str, deque[float]] = {name: deque(maxlen=settings.window) for name in MEASURES}

    def judge(self, step: int, values: Mapping[str, float]) -> Spike | None:
        """The spike that step number `step` (from 1) is, by the measure that stands out most; it is then remembered."""
        if self._settings.action == "off":
            return None
        found = [self._of(step, name, values[name]) for name in MEASURES]
        for name in MEASURES:
            self._seen[name].append(values[name])
        return max((spike for spike in found if spike is not None), key=lambda spike: spike.z, default=None)

    def state(self) -> dict[str, list[float]]:
        """What was seen, as plain values."""
        return {name: list(seen) for name, seen in self._seen.items()}

    def restore(self, state: object) -> None:
        """Put back what `state` gave; None is of an earlier version, which did not look.

        ValueError for anything else.
        """
        if state is None:
            return
        kept = from_plain_value(dict[str, list[float]], state, f"checkpoint: values.{STATE}")
        if set(kept) != set(MEASURES):
            raise DinaError(f"checkpoint: values.{STATE} has {sorted(kept)}; accepted: {', '.join(MEASURES)}")
        for name, values in kept.items():
            self._seen[name] = deque(values, maxlen=self._settings.window)

    def _of(self, step: int, name: Any, value: float) -> Spike | None:  # noqa: ANN401 - one of MEASURES
        seen = self._seen[name]
        if len(seen) < max(2, math.ceil(self._settings.window / 5)):
            return None
        median = statistics.median(seen)
        spread = _NORMAL * statistics.median(abs(each - median) for each in seen)
        z = (value - median) / max(spread, _LEAST_SPREAD * abs(median), 1e-12)
        return Spike(step, name, value, median, z, self._settings.action) if z > self._settings.threshold else None


def spike_file(folder: Path, process: int) -> Path:
    """Where a process writes the spikes of its pairs."""
    return folder / f"spikes-{process}.jsonl"


def write_spike(folder: Path, process: int, spike: Spike, batch: Mapping[str, Sequence[object]]) -> Path:
    """Append a line: the spike, and the pairs of this process's share of the step, with their margins and losses."""
    path = spike_file(folder, process)
    numbers = {"step": spike.step, "measure": spike.measure, "value": spike.value, "median": spike.median}
    append_line(path, {**numbers, "z": spike.z, "action": spike.action, "batch": dict(batch)})
    return path


def forget_later_spikes(folder: Path, process: int, step: int) -> None:
    """Drop what a killed run wrote of steps behind the one that it is resumed from."""
    path = spike_file(folder, process)
    if not path.is_file():
        return
    lines = [parse_json(text, where) for where, text in whole_lines(path)]
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines if line["step"] <= step))
