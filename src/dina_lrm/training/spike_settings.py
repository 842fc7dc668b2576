"""When a step stands out, and what is done about it; read before torch is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dina_lrm.runs.ranges import ABOVE_0, COUNT, check_ranges, ranged

SpikeAction = Literal["off", "warn", "skip", "stop"]


@dataclass(frozen=True)
class SpikeSettings:
    """What is done with a step whose loss or gradient norm stands far above those before it.

    How far is a robust z score: (x - median) / (1.4826 * median absolute deviation) over the last `window` steps.
    """

    action: SpikeAction = "warn"
    """"warn" names the pairs in spikes-0.jsonl and goes on, "skip" also leaves the weights as they are, "stop" ends the
    run, "off" does not look."""
    threshold: float = ranged(10.0, ABOVE_0)
    """Robust z score above which a step is a spike."""
    window: int = ranged(100, COUNT)
    """Steps that the median is taken over; a fifth of them must have been seen before any step is judged."""

    def __post_init__(self) -> None:
        check_ranges(self, "spikes")
