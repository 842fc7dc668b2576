"""Where candidates of a prompt are dropped before they are finished, and which stay.

A cut at step k looks at the states before that step, counted from 0 at the noise end. The best `keep` of each prompt
stay, or those whose score is at most `within` below the best of their prompt, or those that pass both: one always does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dina_lrm.typed import DinaError, require

StepReading = Literal["clean", "noisy", "in-pass"]
"""How states are scored on the way: the clean latents as one step of the velocity estimates them, at the reward's own
noise level; the noisy state at its own; or that from the generator's own pass."""


@dataclass(frozen=True)
class Cut:
    """One of them. `within` is in the units of the scores: deviations of a normalised latent reward."""

    step: int
    keep: int | None = None
    within: float | None = None

    def __post_init__(self) -> None:
        require(self.step >= 0, "cut: step", self.step, "an integer of at least 0")
        given = self.keep is not None or self.within is not None
        require(given, "cut: keep, within", (self.keep, self.within), "one of them or both")
        require(self.keep is None or self.keep >= 1, "cut: keep", self.keep, "an integer of at least 1")
        inside = self.within is None or 0 <= self.within < float("inf")
        require(inside, "cut: within", self.within, "a finite number of at least 0")


@dataclass(frozen=True)
class Pruning:
    """Cuts in the order of their steps, and what they score."""

    cuts: tuple[Cut, ...]
    reading: StepReading = "clean"

    def __post_init__(self) -> None:
        steps = [cut.step for cut in self.cuts]
        rising = bool(steps) and all(a < b for a, b in pairwise(steps))
        require(rising, "cuts", steps, "at least one, at steps that rise")

    def check(self, n: int, steps: int) -> None:
        """ValueError for a cut that keeps more than are there, or outside of the sampler's steps."""
        left = n
        for cut in self.cuts:
            require(cut.step < steps, "cut: step", cut.step, f"at most {steps - 1}, the last of {steps} steps")
            if cut.keep is not None:
                require(cut.keep <= left, f"cut at step {cut.step}: keep", cut.keep, f"at most {left}, as are left")
                left = cut.keep

    def at(self, step: int) -> Cut | None:
        """The cut at a step."""
        return next((cut for cut in self.cuts if cut.step == step), None)


def step_at(levels: Float[Tensor, " levels"], level: float) -> int:
    """The first step that starts at or below a noise level. ValueError where none does."""
    below = (levels[:-1] <= level + 1e-6).nonzero()
    if not len(below) or not 0 < level <= 1:
        low = levels[-2].item()
        raise DinaError(f"cut at noise level {level}; accepted: levels from {low:.4g}, the last step's, to 1")
    return int(below[0])


def survivors(
    scores: Float[Tensor, " candidates"], owners: Int[Tensor, " candidates"], cut: Cut
) -> Int[Tensor, " kept"]:
    """Row numbers of the candidates that stay, rising; `owners` says which prompt each is of. Of equals the first."""
    kept = []
    for owner in owners.unique().tolist():
        rows = (owners == owner).nonzero().flatten()
        order = rows[scores[rows].argsort(descending=True, stable=True)]
        if cut.within is not None:
            order = order[scores[order] >= scores[order[0]] - cut.within]
        kept.append(order[: cut.keep])
    return torch.cat(kept).sort().values
