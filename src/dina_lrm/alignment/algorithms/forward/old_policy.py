"""The policy that draws the samples of the forward process: an older copy of the LoRA.

    old <- h old + (1 - h) theta        after the updates of each rollout, h by the number i of updates so far

| schedule | h(i) | old lags behind by |
|---|---|---|
| `copy` | 0 | nothing: on-policy but for the updates of one rollout |
| `slow` | min(0.001 i, 0.5) | 0.01 updates at i = 10, 0.11 at 100, 1 from 500 on |
| `late` | 0 until 75, then min(0.0075 (i - 75), 0.999) | 0.2 at 100, 8 at 200, 263 at 500 |
| `short` | min(0.001 i, 0.3) | at most 0.43 |
| `firm` | min(0.25 + 0.005 i, 0.999) | 0.4 at i = 10, 3 at 100, 65 at 200, 307 at 500 |

The first three are DiffusionNFT's (arXiv 2509.16117), `short` is AWM's (arXiv 2509.25050), `firm` that of the errors in
CRD (arXiv 2603.14128).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from dina_lrm.alignment.algorithms.forward.settings import Schedule
from dina_lrm.runs.moving_average import MovingAverage


@dataclass(frozen=True)
class Decay:
    """What is kept of the old policy: nothing until `after` updates, then ever more, up to `top`."""

    rate: float = 0.0
    top: float = 0.0
    after: int = 0
    start: float = 0.0

    def at(self, updates: int) -> float:
        """The share that is kept after so many updates, in [0, 1)."""
        return min(self.start + self.rate * max(0, updates - self.after), self.top)


DECAYS: Final[Mapping[Schedule, Decay]] = {
    "copy": Decay(),
    "slow": Decay(0.001, 0.5),
    "late": Decay(0.0075, 0.999, after=75),
    "short": Decay(0.001, 0.3),
    "firm": Decay(0.005, 0.999, start=0.25),
}
"""The schedules by name."""


class OldPolicy:
    """The older copy of some parameters, which acts where it is asked to.

    old = OldPolicy(generator.parameters, "slow", updates=1)
    with old.acting():                # the parameters are those of the old policy here
        x_0 = generator.denoise(...)
    ...
    old.move(step)                    # after the updates of rollout `step`, from 0
    """

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], schedule: Schedule, updates: int = 1) -> None:
        """`updates`: optimiser steps a rollout, by which the schedule counts."""
        self._decay, self._updates = DECAYS[schedule], updates
        self._copy = MovingAverage(parameters, 0.0)

    def acting(self) -> AbstractContextManager[None]:
        """Inside, the parameters hold the old policy; afterwards exactly what they held before."""
        return self._copy.swapped_in()

    def move(self, step: int) -> None:
        """Follow the parameters, which learned from rollout `step`."""
        self._copy.move(self._decay.at((step + 1) * self._updates))

    def tensors(self) -> Mapping[str, Tensor]:
        """The copy itself, by the names of the parameters: what is written into it acts from then on."""
        return self._copy.state_dict()
