"""How long so many FLOPs take here: a large product of matrices is measured for some milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import torch

EFFICIENCY: Final = 0.3
"""Of the rate of that product which a whole model reaches."""


def seconds_of(flops: float, device: str, dtype: torch.dtype) -> float:
    """Seconds on `device`, all of whose threads are free: good to a factor of three."""
    return flops / (EFFICIENCY * measured_rate(device, dtype))


def measured_rate(device: str, dtype: torch.dtype, seconds: float = 0.02) -> float:
    """FLOPs a second of a product of matrices in `dtype`, measured for so long.

    On the host one thread is measured, by its processor seconds, and multiplied by the threads of torch: threads that
    wait for each other on a busy machine would be counted as work.
    """
    place = torch.device(device)
    if place.type != "cpu":
        return _rate(place, dtype, 4096, time.perf_counter, seconds)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return threads * _rate(place, dtype, 256, time.thread_time, seconds)
    finally:
        torch.set_num_threads(threads)


def _rate(place: torch.device, dtype: torch.dtype, side: int, clock: Callable[[], float], seconds: float) -> float:
    factor = torch.ones(side, side, dtype=dtype, device=place)
    float((factor @ factor)[0, 0])
    done, start, passed = 0, clock(), 0.0
    while passed < seconds:
        float((factor @ factor)[0, 0])
        done, passed = done + 1, clock() - start
    return 2.0 * side**3 * done / passed
