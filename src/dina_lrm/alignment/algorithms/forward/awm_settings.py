"""What a run of advantage-weighted matching is, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dina_lrm.alignment.algorithms.forward.settings import ForwardConfig, ForwardSettings
from dina_lrm.runs.ranges import ABOVE_0, NOT_NEGATIVE, UNIT_ABOVE_0, check_ranges, ranged

MatchingWeighting = Literal["none", "level", "square", "huber", "ghuber"]


@dataclass(frozen=True)
class AwmSettings:
    """Advantage-weighted matching: how errors are weighted, and what holds the policy to the older one."""

    weighting: MatchingWeighting = "ghuber"
    """Of errors e at noise level t: none = e, level = t e, square = t^2 e, huber = t sqrt(e), ghuber = t e^p / p."""
    power: float = ranged(0.25, UNIT_ABOVE_0)
    """ghuber: p."""
    hold: float = ranged(1.0, NOT_NEGATIVE)
    """Weight of the mean squared distance to the policy that drew the samples. Below 1 the worst samples repel without
    bound where weighting is none: the curvature of the loss is their advantage, -1 at least, and this weight."""
    clip: float | None = ranged(None, ABOVE_0)
    """Ratios of likelihoods beyond 1 +- clip have no gradient, in units of the weighted error; None = no bound."""

    def __post_init__(self) -> None:
        check_ranges(self, "awm")


@dataclass(frozen=True)
class AwmConfig(ForwardConfig):
    """A complete run of advantage-weighted matching. `batch_size` counts images per rollout."""

    algorithm = "awm"
    forward: ForwardSettings = field(default_factory=lambda: ForwardSettings(old="short", scope="group"))
    awm: AwmSettings = field(default_factory=AwmSettings)
