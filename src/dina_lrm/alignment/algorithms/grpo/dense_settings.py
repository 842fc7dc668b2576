"""What step rewards are read from, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dina_lrm.runs.ranges import COUNT_OR_0, UNIT, UNIT_ABOVE_0, check_ranges, ranged


@dataclass(frozen=True)
class DenseSettings:
    """Step rewards: how a state on the way is scored, and how its score becomes a step's credit."""

    reading: Literal["noisy", "clean", "look-ahead"] = "look-ahead"
    """What the reward sees of a state: itself at its own noise level (one latent reward), to be held by a KL; the clean
    latents that its velocity points at; or those at the end of an ODE from it."""
    look_ahead: int = ranged(0, COUNT_OR_0)
    """look-ahead: steps of that ODE; 0 = all that the schedule has left. One step is the reading clean."""
    scope: Literal["step", "trajectory"] = "step"
    """Whose standard deviation gains are divided by: a step's own, or that of all steps, which leaves steps small whose
    gains are small."""
    mix: float = ranged(1.0, UNIT)
    """Share of the step's gain in its credit; the rest is the reward of the finished sample."""
    level_scale: Literal["deviation", "slope", "none"] = "deviation"
    """noisy: the unit of scores at a level, measured once on samples of the base model: their deviation within a
    prompt; or what a score at that level foretells of the finished sample's (least squares within a prompt), so that
    what is no more than noise counts for little."""
    highest: float = ranged(1.0, UNIT_ABOVE_0)
    """Steps from above this noise level have the reward of the finished sample as their credit: states there tell
    little."""
    first_gain: bool = False
    """Whether the first step of the window is credited with its gain even where the images of a prompt began with
    noises of their own (without `grpo.shared_noise`): it then holds the luck of the state they came from, and the step
    has the reward of the finished sample instead."""

    def __post_init__(self) -> None:
        check_ranges(self, "grpo.dense")
