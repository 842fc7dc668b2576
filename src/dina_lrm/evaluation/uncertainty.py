"""How much a decision depends on the noise that was drawn (paper, appendix B, Table 4).

    VR      = mean over pairs of min(p, 1 - p),  p = share of the draws in which the first image is ahead
    margin  = mean over pairs of |mean over draws of (r_a - r_b)|
    Var(r)  = mean over images of the unbiased variance of their score over the draws

Common noise gives both images of a pair the same draw, independent noise one each. The same scores serve both: the n-th
draw of one image is set against the n-th of the other, or against the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.scoring import ReportProgress, every_score, shifted
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class UncertaintyRow:
    """One noise level or ensemble: instability of decisions under both kinds of noise, margin, variance of scores."""

    reading: Reading
    draws: int
    vr_common: float
    vr_independent: float
    margin: float
    variance: float


def score_draws(
    model: LatentRewardModel,
    data: EncodedComparisons,
    readings: Sequence[Reading],
    draws: int = 10,
    batch_size: int = 64,
    seed: int = 0,
    progress: ReportProgress | None = None,
    antithetic: bool = False,
) -> Float[np.ndarray, "draws 2 pairs readings"]:
    """Scores of both images of every pair with the noise of `draws` seeds from `seed` on; the paper has 10.

    What `uncertainty_of` takes; their mean over the draws is the score with less noise. `antithetic` draws come in
    twos, a noise and the same with its sign changed: what in a score is odd in the noise cancels in their mean.
    """
    every = every_draw(model, data, readings, draws, batch_size, seed, progress, antithetic)
    return model.main_of(every).double().numpy()


def every_draw(
    model: LatentRewardModel,
    data: EncodedComparisons,
    readings: Sequence[Reading],
    draws: int = 10,
    batch_size: int = 64,
    seed: int = 0,
    progress: ReportProgress | None = None,
    antithetic: bool = False,
) -> Float[Tensor, "draws 2 pairs readings scores"]:
    """As `score_draws`, all scores of a model in the order of `model.config.names`."""
    if draws < 2 or (antithetic and draws % 2):
        accepted = "an even number" if antithetic else "at least 2, the paper has 10"
        raise DinaError(f"draws is {draws}; accepted: {accepted}")
    total = draws * len(data)
    found = []
    for draw in range(draws):
        report = None if progress is None else shifted(progress, draw * len(data), total)
        number, mirrored = (draw // 2, draw % 2 == 1) if antithetic else (draw, False)
        found.append(every_score(model, data, readings, batch_size, seed + number, report, mirrored))
    return torch.stack(found)


def uncertainty_of(
    scores: Float[np.ndarray, "draws 2 pairs readings"], readings: Sequence[Reading]
) -> tuple[UncertaintyRow, ...]:
    """The rows from the scores of both images of every pair, draw by draw."""
    first, second = scores[:, 0], scores[:, 1]
    common, independent = first - second, first - np.roll(second, -1, axis=0)
    return tuple(
        UncertaintyRow(
            reading=reading,
            draws=len(scores),
            vr_common=_instability(common[..., column]),
            vr_independent=_instability(independent[..., column]),
            margin=float(np.abs(common[..., column].mean(axis=0)).mean()),
            variance=float(scores[..., column].var(axis=0, ddof=1).mean()),
        )
        for column, reading in enumerate(readings)
    )


def _instability(margins: Float[np.ndarray, "draws pairs"]) -> float:
    ahead = (margins > 0).mean(axis=0)
    return float(np.minimum(ahead, 1 - ahead).mean())
