"""What a run of reward feedback learning is, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.rewards.gradients import check_gradient
from dina_lrm.runs.ranges import ABOVE_0, COUNT, FINITE, NOT_NEGATIVE, check_ranges, ranged
from dina_lrm.typed import require

Shaping = Literal["linear", "relu", "log-sigmoid"]
Through = Literal["one", "drtune", "draft", "prfl"]


@dataclass(frozen=True)
class ReflSettings:
    """Reward feedback learning: where the gradient enters, and how rewards become a loss."""

    first: int = 30
    """one, prfl: the step with gradient is drawn from `first` to `last`, counted from 0 at the noise end."""
    last: int = 39
    """The last step that the gradient may enter at; with prfl at most the last but one of the sampler."""
    through: Through = "one"
    """What the gradient goes through: one step and the clean estimate behind it; `through_steps` steps at even
    distances, held in memory one at a time (drtune); the last `through_steps` with their whole graph (draft); or one
    step and the noisy state behind it, which the reward reads at its own level (prfl). drtune and draft need guidance
    1."""
    through_steps: int = ranged(1, COUNT)
    """drtune, draft: how many steps."""
    shaping: Shaping = "linear"
    """What is maximised: the reward, the reward up to `margin` (relu), or its log-sigmoid."""
    margin: float = ranged(2.0, FINITE)
    """relu: no pull on rewards above it."""
    scale: float = ranged(1.0, ABOVE_0)
    """Factor of the loss, and so of its gradient."""
    pretraining_weight: float = ranged(0.0, NOT_NEGATIVE)
    """Weight w of the mean squared error on clean samples: (loss + w mse) / (1 + w); 0 = none."""
    pretraining_samples: int = ranged(64, COUNT)
    """How many clean samples are drawn before the run, where the weight is above 0."""
    pretraining_data: str | None = None
    """A set of comparisons, whose preferred images are the clean samples; None = the base model's own."""
    kl_weight: float = ranged(0.0, NOT_NEGATIVE)
    """Weight of the mean squared distance to the base model's velocity, to which the KL of a step is proportional."""

    def __post_init__(self) -> None:
        check_ranges(self, "refl")


@dataclass(frozen=True)
class ReflConfig(AlignConfig):
    """A complete run of reward feedback learning."""

    algorithm = "refl"
    refl: ReflSettings = field(default_factory=ReflSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gradient(term.name for term in self.rewards)
        last = self.generator.sampling_steps - 1
        inside = 0 <= self.refl.first <= self.refl.last <= last
        used = self.refl.pretraining_data is None or self.refl.pretraining_weight > 0
        require(used, "refl.pretraining_data", self.refl.pretraining_data, "with a pretraining_weight above 0 only")
        require(inside, "refl.first, refl.last", (self.refl.first, self.refl.last), f"0 <= first <= last <= {last}")
        few = self.refl.through_steps <= last + 1
        require(few, "refl.through_steps", self.refl.through_steps, f"at most {last + 1} sampling steps")
        if self.refl.through == "prfl":
            require(self.refl.first < last, "refl.first", self.refl.first, f"at most {last - 1} with refl.through prfl")
