"""What a run of on-policy distillation is, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.rewards.gradients import check_gradient
from dina_lrm.runs.ranges import NOT_NEGATIVE, UNIT, check_ranges, ranged
from dina_lrm.typed import require

StepWeights = Literal["unit", "mean", "kl"]
TeacherReading = Literal["clean", "noisy"]


@dataclass(frozen=True)
class DistillSettings:
    """On-policy distillation: the teacher is a step of the frozen base model, moved up the rewards' gradients."""

    scale: float = ranged(0.4, NOT_NEGATIVE)
    """How far the teacher's step goes up the rewards, as a share of the length of the base model's own step; 0 teaches
    the base model."""
    guidance: float = ranged(1.0, NOT_NEGATIVE)
    """Scale of classifier-free guidance of the teacher; up to 1 there is none. Above it guidance is distilled too: the
    student needs one pass a step where its teacher takes two. Looks are guided by `generator.guidance`."""
    reading: TeacherReading = "clean"
    """Where the gradients are taken: at the clean estimate of the base model, which every differentiable reward reads,
    or at the noisy state and its own level, which rewards latent:MODEL do."""
    lowest: float = ranged(0.2, UNIT)
    """Noise level below which the teacher is the base model alone, and no reward is evaluated."""
    highest: float = ranged(1.0, UNIT)
    """The same above."""
    weights: StepWeights = "unit"
    """What the squared distance of the velocities weighs at each step: 1, the square of what it moves the next state
    by, or the KL of a stochastic step. The mean over the steps is brought to 1."""

    def __post_init__(self) -> None:
        check_ranges(self, "distill")
        inside = self.lowest < self.highest
        require(inside, "distill.lowest, distill.highest", (self.lowest, self.highest), "lowest < highest")

    def guides(self, level: float) -> bool:
        """Whether the teacher's step from this noise level is moved up the rewards."""
        return self.scale > 0 and self.lowest <= level <= self.highest


@dataclass(frozen=True)
class DistillConfig(AlignConfig):
    """A complete run of on-policy distillation."""

    algorithm = "distill"
    distill: DistillSettings = field(default_factory=DistillSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gradient(term.name for term in self.rewards)
