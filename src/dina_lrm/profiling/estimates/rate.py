"""How long so many FLOPs take here: a large product of matrices is measured for some milliseconds."""

from __future__ import annotations

import time
from typing import Final

import torch

EFFICIENCY: Final = 0.3
"""Of the rate of that product which a whole model reaches."""


def seconds_of(flops: float, device: str, dtype: torch.dtype) -> float:
    """Seconds on `device`, all of whose threads are free: good to a factor of three."""
    return flops / (EFFICIENCY * measured_rate(device, dtype))


def measured_rate(device: str, dtype: torch.dtype, seconds: float = 0.02) -> float:
    """FLOPs a second of a product of matrices in `dtype`, measured for so long.

    On the host by processor seconds, which are little blurred by what else runs there, times the threads of torch.
    """
    place = torch.device(device)
    host = place.type == "cpu"
    clock, side, threads = (time.process_time, 256, torch.get_num_threads()) if host else (time.perf_counter, 4096, 1)
    factor = torch.ones(side, side, dtype=dtype, device=place)
    float((factor @ factor)[0, 0])
    done, start, passed = 0, clock(), 0.0
    while passed < seconds:
        float((factor @ factor)[0, 0])
        done, passed = done + 1, clock() - start
    return 2.0 * side**3 * done * threads / passed
