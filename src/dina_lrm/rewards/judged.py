"""Any reward asked about pictures or latents, some at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from dina_lrm.rewards.base import Reward
from dina_lrm.typed import DinaError


@torch.no_grad()
def judged(
    reward: Reward,
    inputs: NDArray[Any],
    prompts: Sequence[str],
    batch_size: int,
) -> Float[np.ndarray, " items"]:
    """Scores of uint8 pictures (n, height, width, 3), or of latents (n, channels, height, width) for a latent reward.

    A reward may say that it has no score for an item, by NaN. Raises ValueError where it answers with another number.
    """
    found = []
    for start in range(0, len(prompts), batch_size):
        part = torch.from_numpy(np.ascontiguousarray(inputs[start : start + batch_size]))
        if reward.kind == "pixel":
            part = part.permute(0, 3, 1, 2).float() / 255
        found.append(as_scores(reward.name, reward(part, prompts[start : start + batch_size]), len(part)))
    return np.concatenate(found)


def as_scores(name: str, values: Sequence[float] | Tensor, count: int) -> Float[np.ndarray, " items"]:
    """Scores as an array of doubles. ValueError unless there is one for each item."""
    scores: NDArray[np.float64] = torch.as_tensor(values).detach().double().cpu().numpy()
    if scores.shape != (count,):
        raise DinaError(f"{name} gave scores of shape {scores.shape} for {count} images; accepted: one each")
    return scores
