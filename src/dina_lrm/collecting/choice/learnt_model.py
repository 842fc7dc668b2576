"""A learnt score as a reward model's folder: what `score`, `compare` and `train --initial` take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.collecting.choice.taste import LearntScore
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.formats.stored import StoredModel


def learnt_model(
    stored: StoredModel, learnt: LearntScore, votes: int, mean: float, spread: float, begun_from: str
) -> StoredModel:
    """The stored model with the learnt score in the place of its main one, from so many votes.

    `mean` and `spread` are those of the learnt scores of the pictures that were read. What had been measured of the
    model before is not carried over: it is another one.
    """
    config = stored.config
    assert isinstance(config.head, QFormerConfig)
    scale = replace(config.scales[config.main], mean=mean, std=spread)
    moved = replace(config, head=replace(config.head, statistics=True)).with_scales({config.main: scale})
    told = {"initial": begun_from, "votes": votes, "own_score": round(learnt.scale, 4)}
    notes = {name: value for name, value in config.notes.items() if name not in ("results", "training")}
    moved = replace(moved, notes={**notes, "learnt": told})
    return replace(stored, config=moved, head=_taught(stored.head, config, learnt))


def _taught(
    head: Mapping[str, Tensor], config: RewardModelConfig, learnt: LearntScore
) -> dict[str, Float[Tensor, ...]]:
    row, rows = config.names.index(config.main), len(config.names)
    own = torch.from_numpy(learnt.weights).float()
    found = {name: tensor.clone() for name, tensor in head.items()}
    beside = found.setdefault("statistics.weight", torch.zeros(rows, len(own)))
    beside[row] = learnt.scale * beside[row] + own
    found["head.weight"][row] *= learnt.scale
    found["head.bias"][row] = learnt.scale * found["head.bias"][row] + learnt.shift
    return found
