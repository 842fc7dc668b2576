"""How long it takes on a GPU that is not at hand: a roofline.

    seconds = max(FLOPs / (efficiency * peak), bytes of weights / bandwidth)

Peaks are those of the makers' data sheets, dense bfloat16. A transformer of this size reaches about half of the peak;
the estimate is good to a factor of about 1.5 and says which of two things is dearer better than what either costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dina_lrm.profiling.counting import Cost
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Gpu:
    """Dense bfloat16 FLOPs a second, bytes a second, bytes of memory."""

    flops: float
    bandwidth: float
    memory: float


GPUS: Final[dict[str, Gpu]] = {
    "h200": Gpu(989e12, 4.8e12, 141e9),
    "h100": Gpu(989e12, 3.35e12, 80e9),
    "a100": Gpu(312e12, 2.04e12, 80e9),
    "l40s": Gpu(362e12, 0.864e12, 48e9),
    "rtx4090": Gpu(165e12, 1.01e12, 24e9),
}
"""GPUs by name."""
EFFICIENCY: Final = 0.5
WEIGHT_BYTES: Final = 2


def gpu(name: str) -> Gpu:
    """The GPU of that name; raises ValueError naming those there are."""
    if name not in GPUS:
        raise DinaError(f"GPU {name!r}; accepted: {', '.join(GPUS)}")
    return GPUS[name]


def seconds(cost: Cost, name: str) -> float:
    """The roofline's estimate, weights in bfloat16."""
    chosen = gpu(name)
    return max(cost.flops / (EFFICIENCY * chosen.flops), cost.parameters * WEIGHT_BYTES / chosen.bandwidth)
