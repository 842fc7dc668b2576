"""Sums over pairs, from which means are taken: never from means over batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace

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


def pair_sums(found: LossOutput, known: Tensor | None = None) -> Float[Tensor, "scores 6"]:
    """The fields of `PairTotals` in their order for each score, still on the device.

    They are over all judgements, or those that are `known`.
    """
    weight = found.judged.weight
    columns: Sequence[Tensor] = (
        found.pair_loss * weight,
        weight,
        found.correct,
        found.decided,
        torch.ones_like(weight),
        found.margin.abs(),
    )
    scores = found.scores.shape[1]
    if scores == 1:
        return torch.stack([(column if known is None else column[known]).float().sum() for column in columns])[None]
    every = torch.stack([column.float() for column in columns], dim=1)
    of = found.judged.score
    chosen = (every, of) if known is None else (every[known], of[known])
    return every.new_zeros(scores, len(columns)).index_add_(0, chosen[1], chosen[0])


@dataclass(frozen=True)
class ScoreTotals:
    """Sums by the name of a score, and their sum: the loss is that of all of them, the rest that of the main one."""

    main: str
    of: Mapping[str, PairTotals]

    @classmethod
    def by_name(cls, sums: Sequence[float], names: Sequence[str], main: str) -> ScoreTotals:
        """From the numbers of `pair_sums` in a row."""
        size = len(fields(PairTotals))
        rows = [PairTotals(*sums[start : start + size]) for start in range(0, len(sums), size)]
        return cls(main, dict(zip(names, rows, strict=True)))

    def __add__(self, other: ScoreTotals) -> ScoreTotals:
        return ScoreTotals(self.main, {name: totals + other.of[name] for name, totals in self.of.items()})

    @property
    def whole(self) -> PairTotals:
        """The loss and its weight over all scores; pairs, accuracy and margins of the main one."""
        return replace(
            self.of[self.main],
            loss=sum(totals.loss for totals in self.of.values()),
            weight=sum(totals.weight for totals in self.of.values()),
        )

    @property
    def judgements(self) -> float:
        """How many judgements there are under all scores."""
        return sum(totals.pairs for totals in self.of.values())

    def told(self, prefix: str = "") -> dict[str, float]:
        """Loss and accuracy of each score, as numbers of a log; nothing of a single one."""
        if len(self.of) == 1:
            return {}
        rows = self.of.items()
        return {f"{prefix}loss/{name}": totals.mean_loss for name, totals in rows} | {
            f"{prefix}accuracy/{name}": totals.accuracy for name, totals in rows
        }
