"""What a run of direct group preference optimisation is, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from dina_lrm.alignment.algorithms.forward.settings import ForwardConfig, ForwardSettings
from dina_lrm.runs.ranges import ABOVE_0, check_ranges, ranged
from dina_lrm.typed import require


@dataclass(frozen=True)
class DgpoSettings:
    """Direct group preference optimisation: when a group counts as told apart."""

    beta: float = ranged(100.0, ABOVE_0)
    """How fast a group's weight falls from 1/2 as its better images are matched better than by the base model."""
    clip: float | None = None
    """Images whose matching error went further than this from that of the older policy pull no more; None = no bound.
    In units of the error."""

    def __post_init__(self) -> None:
        check_ranges(self, "dgpo")
        require(self.clip is None or 0 < self.clip < 1, "dgpo.clip", self.clip, "a number between 0 and 1, or None")


@dataclass(frozen=True)
class DgpoConfig(ForwardConfig):
    """A complete run of direct group preference optimisation. `batch_size` counts images per rollout."""

    algorithm = "dgpo"
    forward: ForwardSettings = field(default_factory=lambda: ForwardSettings(old="short", scope="group"))
    dgpo: DgpoSettings = field(default_factory=DgpoSettings)
