"""Which steps of a schedule are stochastic and trained; all others follow the ODE (Flow-GRPO-Fast, MixGRPO)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch

from dina_lrm.typed import DinaError


class Window(ABC):
    """A choice of steps, the same for all samples of an iteration."""

    @abstractmethod
    def steps(self, total: int, iteration: int, seed: int = 0) -> range:
        """Numbers of the chosen steps out of 0 .. total - 1, from noise to data; a function of its arguments alone.

        Raises:
            ValueError: when the window does not lie within the schedule.
        """


@final
@dataclass(frozen=True)
class EveryStep(Window):
    """All steps but the last, which leads to clean latents: Flow-GRPO."""

    def steps(self, total: int, iteration: int, seed: int = 0) -> range:
        """0 .. total - 2."""
        return _within(range(total - 1), total)


@final
@dataclass(frozen=True)
class FirstSteps(Window):
    """The first `count` steps, where a picture is laid out: the paper's choice is 3."""

    count: int = 3

    def steps(self, total: int, iteration: int, seed: int = 0) -> range:
        """0 .. count - 1."""
        return _within(range(self.count), total)


@final
@dataclass(frozen=True)
class RandomWindow(Window):
    """`count` steps that begin anywhere in the first `until` of the schedule, drawn anew each iteration."""

    count: int = 2
    until: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.until <= 1:
            raise DinaError(f"RandomWindow: until is {self.until}; accepted: a share in (0, 1]")

    def steps(self, total: int, iteration: int, seed: int = 0) -> range:
        """Drawn from (seed, iteration)."""
        # 0.29 * 100 is a little below 29 in floating point, and would lose a step.
        last = min(int(self.until * total + 1e-9), total - 1) - self.count
        if last < 0:
            raise DinaError(f"a window of {self.count} steps does not fit in the first {self.until:g} of {total} steps")
        generator = torch.Generator().manual_seed(seed * 1_000_003 + iteration)
        start = int(torch.randint(last + 1, (1,), generator=generator))
        return _within(range(start, start + self.count), total)


@final
@dataclass(frozen=True)
class SlidingWindow(Window):
    """`count` steps that move on by one every `period` iterations, from noise to data and then from the start again."""

    count: int = 2
    period: int = 25

    def __post_init__(self) -> None:
        if self.period < 1:
            raise DinaError(f"SlidingWindow: period is {self.period}; accepted: at least 1")

    def steps(self, total: int, iteration: int, seed: int = 0) -> range:
        """Where the window stands at that iteration."""
        places = total - self.count
        start = (iteration // self.period) % max(places, 1)
        return _within(range(start, start + self.count), total)


def _within(window: range, total: int) -> range:
    if not window or window.start < 0 or window.stop > total - 1:
        raise DinaError(
            f"window: steps {window.start} to {window.stop - 1} of a schedule of {total}; accepted: windows of at "
            f"least one step that end before the last, which leads to clean latents without noise"
        )
    return window
