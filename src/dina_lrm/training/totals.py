"""Sums over pairs, from which means are taken: never from means over batches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.training.objective import LossOutput


@dataclass(frozen=True)
class PairTotals:
    """Sums over some pairs."""

    loss: float = 0.0
    """Each loss times the weight of its pair."""
    weight: float = 0.0
    correct: float = 0.0
    """Decided pairs that are ranked right."""
    decided: float = 0.0
    """Pairs whose label is no tie."""
    pairs: float = 0.0
    margin: float = 0.0
    """Absolute values of the margins."""

    def __add__(self, other: PairTotals) -> PairTotals:
        return PairTotals(*(own + more for own, more in zip(astuple(self), astuple(other), strict=True)))

    @property
    def mean_loss(self) -> float:
        """Weighted by the pairs' weights; NaN without any."""
        return self.loss / self.weight if self.weight else math.nan

    @property
    def accuracy(self) -> float:
        """Share of decided pairs ranked right; NaN when only ties were seen."""
        return self.correct / self.decided if self.decided else math.nan

    def are_finite(self) -> bool:
        """Whether no sum is NaN or infinite."""
        return all(map(math.isfinite, astuple(self)))


def pair_sums(found: LossOutput, weight: Tensor, known: Tensor | None = None) -> Float[Tensor, " 6"]:
    """The fields of `PairTotals` in their order, still on the device, over all pairs or those that are `known`."""
    columns: Iterable[Tensor] = (
        found.pair_loss * weight,
        weight,
        found.correct,
        found.decided,
        torch.ones_like(weight),
        found.margin.abs(),
    )
    return torch.stack([(column if known is None else column[known]).float().sum() for column in columns])
