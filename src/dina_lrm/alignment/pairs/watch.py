"""What is looked at beside the pictures: pairs that are held out, at noise and levels that stay the same.

The known fault of preference losses is that winners get worse while losers get worse faster: the loss falls, and the
generator breaks. `winner_change` above 0 says so; the alarm reads it (`monitor/alarm.py`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.dpo_settings import DpoSettings
from dina_lrm.alignment.pairs.errors import Pictures, errors_of
from dina_lrm.alignment.pairs.learned import LearnedPairs, PairColumns
from dina_lrm.alignment.pairs.levels import pair_levels
from dina_lrm.generators.generator import Generator

MOST: Final = 32
"""Pairs that are watched."""
_FIRST_SEED: Final = 2_000_000


@torch.no_grad()
def watched(generator: Generator, pairs: LearnedPairs, settings: DpoSettings, batch_size: int) -> dict[str, float]:
    """Of held-out pairs, or of the first that are learned from where none are held out: how errors changed.

    `winner_change` and `loser_change` are those of the errors relative to the reference's, 0 before anything is
    learned; `pair_accuracy` is the share of pairs whose winner has gained more, of those that gained unlike.
    """
    chosen = pairs.held if len(pairs.held) else pairs.trained
    some = chosen.take(torch.arange(min(MOST, len(chosen))))
    level = pair_levels(generator, (np.arange(len(some)) + 0.5) / len(some), settings.weighting)
    seed = torch.arange(_FIRST_SEED, _FIRST_SEED + len(some))
    first = some.preference >= 0.5
    winners, losers = some.swapped(~first), some.swapped(first)
    if settings.kind == "kto":
        own, before = _errors(generator, pairs, some, seed, level, settings, batch_size)
        return {
            "winner_change": _change(own[first], before[first]),
            "loser_change": _change(own[~first], before[~first]),
        }
    won, won_before = _errors(generator, pairs, winners, seed, level, settings, batch_size)
    lost, lost_before = _errors(generator, pairs, losers, seed, level, settings, batch_size)
    margin = ((won_before - won) - (lost_before - lost))[some.preference != 0.5]
    unlike = margin[margin != 0]
    return {
        "winner_change": _change(won, won_before),
        "loser_change": _change(lost, lost_before),
        "pair_accuracy": (unlike > 0).double().mean().item() if len(unlike) else 0.5,
    }


def _errors(
    generator: Generator,
    pairs: LearnedPairs,
    side: PairColumns,
    seed: Tensor,
    level: Tensor,
    settings: DpoSettings,
    batch_size: int,
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"]]:
    """Errors of the first pictures of pairs, and the reference's."""
    pictures = Pictures(side.bucket_a, side.image_a, side.prompt, seed, level)
    parts = [
        errors_of(generator, pairs.data, pictures.take(rows), settings.weighting, gradient=False)
        for rows in torch.arange(len(pictures)).split(batch_size)
    ]
    own, before = (torch.cat(list(side)) for side in zip(*parts, strict=True))
    return own, before


def _change(own: Tensor, before: Tensor) -> float:
    return float(own.double().sum() / before.double().sum() - 1) if len(own) else float("nan")
