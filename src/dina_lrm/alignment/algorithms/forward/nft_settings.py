"""What a run of DiffusionNFT is, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dina_lrm.alignment.algorithms.forward.settings import ForwardConfig, ForwardSettings
from dina_lrm.runs.ranges import ABOVE_0, check_ranges, ranged

NftWeighting = Literal["adaptive", "uniform"]


@dataclass(frozen=True)
class NftSettings:
    """DiffusionNFT: how far good and bad samples move the policy."""

    beta: float = ranged(1.0, ABOVE_0)
    """How strongly the policy is held to the one that drew the samples: smaller is a larger step."""
    weighting: NftWeighting = "adaptive"
    """Of errors: each divided by its own size, as in the authors' code, or all alike."""

    def __post_init__(self) -> None:
        check_ranges(self, "nft")


@dataclass(frozen=True)
class NftConfig(ForwardConfig):
    """A complete run of DiffusionNFT. `batch_size` counts images per rollout."""

    algorithm = "nft"
    forward: ForwardSettings = field(default_factory=lambda: ForwardSettings(kl_weight=1e-4))
    nft: NftSettings = field(default_factory=NftSettings)
