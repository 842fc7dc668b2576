"""Exponential moving average of the trained weights: `average <- d average + (1 - d) weights` after every step.

With warm-up `d_n = min(decay, (1 + n) / (10 + n))` after `n` earlier optimiser steps: at decay 0.995 a run of 250 steps
would otherwise keep a quarter of its random start. An average that follows every k-th step counts those between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from dina_lrm.runs.sharding import own_rows, shared_out_like
from dina_lrm.typed import DinaError


def decay_at(update: int, decay: float, warmup: bool = True, every: int = 1) -> float:
    """The decay used by the update after `update` earlier ones, with `every` optimiser steps to an update."""
    steps = (update + 1) * every - 1
    return min(decay, (1 + steps) / (10 + steps)) if warmup else decay


class MovingAverage:
    """The average of some named parameters, kept in float32 on their own device, by each process of what it holds.

    average = MovingAverage(dict(model.named_parameters()), decay=0.995)
    ...
    average.update()                  # after each optimiser step
    with average.swapped_in():        # the parameters hold the average here
        evaluate(model)
    """

    def __init__(
        self, parameters: Mapping[str, torch.nn.Parameter], decay: float, warmup: bool = True, every: int = 1
    ) -> None:
        """`every`: optimiser steps between two updates, by which a warm-up counts."""
        self._decay, self._warmup, self._every = decay, warmup, every
        self.updates = 0
        self._names = list(parameters)
        self._parameters = [parameters[name] for name in self._names]
        self._whole = [parameter.detach().float().clone() for parameter in self._parameters]
        self._average = [own_rows(average) for average in self._whole]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the weights as they are now."""
        self.move(decay_at(self.updates, self._decay, self._warmup, self._every))
        self.updates += 1

    @torch.no_grad()
    def move(self, decay: float) -> None:
        """Keep `decay` of the average, in [0, 1), and take the rest from the weights as they are now."""
        torch._foreach_lerp_(self._average, [live.float() for live in self._live()], 1.0 - decay)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The parameters hold the average inside, and exactly what they held before afterwards."""
        kept = [live.clone() for live in self._live()]
        self.copy_to_parameters()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._live(), kept)

    @torch.no_grad()
    def copy_to_parameters(self) -> None:
        """Overwrite the parameters with the average: the end of a run."""
        torch._foreach_copy_(self._live(), self._average)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by parameter name; `updates` is a number of its own."""
        return dict(zip(self._names, self._whole, strict=True))

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Restore `state_dict()` and the number of updates; raises `ValueError` for other names."""
        if set(tensors) != set(self._names):
            raise DinaError(f"moving average: names differ: {sorted(set(tensors) ^ set(self._names))[:5]}")
        for average, name in zip(self._whole, self._names, strict=True):
            own_rows(average).copy_(own_rows(shared_out_like(tensors[name], average)))
        self.updates = updates

    def _live(self) -> list[Tensor]:
        """The parameters' memory, as far as this process holds it."""
        return [own_rows(parameter) for parameter in self._parameters]
