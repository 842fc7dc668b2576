"""What a run of centred reward distillation is, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dina_lrm.alignment.algorithms.forward.settings import ForwardConfig, ForwardSettings, Schedule
from dina_lrm.runs.ranges import ABOVE_0, check_ranges, ranged
from dina_lrm.typed import require

CrdKind = Literal["mse", "bce"]


@dataclass(frozen=True)
class CrdSettings:
    """Centred reward distillation: what the policy has to say of the gaps in a group."""

    beta: float = ranged(1.0, ABOVE_0)
    """Gaps between errors of matching are to be those of the target divided by it: smaller goes further."""
    kind: CrdKind = "mse"
    """The squared difference of the two gaps, or the cross-entropy of their sigmoids."""
    target: Literal["optimality", "log-odds"] = "optimality"
    """What gaps are compared with: how good each image is, in [0, 1]; or the log-odds of its win rate."""
    weighting: Literal["uniform", "adaptive"] = "uniform"
    """Of the errors that are compared: all alike; or each divided by its own size, so that no image outweighs others of
    its prompt."""
    sampling: Schedule = "late"
    """How the copy that draws the samples follows; `forward.old` is the one that errors are compared with."""

    def __post_init__(self) -> None:
        check_ranges(self, "crd")


@dataclass(frozen=True)
class CrdConfig(ForwardConfig):
    """A complete run of centred reward distillation. `batch_size` counts images per rollout."""

    algorithm = "crd"
    forward: ForwardSettings = field(default_factory=lambda: ForwardSettings(old="firm"))
    crd: CrdSettings = field(default_factory=CrdSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        compared = self.forward.old != "copy" or self.forward.updates > 1
        accepted = "another schedule, or several forward.updates: beside itself the policy says nothing of rewards"
        require(compared, "forward.old", self.forward.old, accepted)
        rates = self.crd.target == "optimality" or self.forward.transform == "win-rate"
        require(rates, "crd.target", self.crd.target, "optimality, or log-odds with forward.transform win-rate")

    @property
    def sampling(self) -> Schedule:
        """Samples are drawn by a copy of their own."""
        return self.crd.sampling

    @property
    def copies(self) -> int:
        """The one that draws the samples too."""
        return super().copies + 1
