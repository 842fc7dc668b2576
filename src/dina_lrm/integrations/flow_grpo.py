"""A row of flow_grpo's table of rewards.

    from dina_lrm.integrations.flow_grpo import install

    install(model="synthetic")                          # before the script's main, as in the file that --config names
    config.reward_fn = {"dina": 1.0, "pickscore": 0.5}

flow_grpo builds its table inside the function `flow_grpo.rewards.multi_score`, which is replaced: the row "dina" is
ours, the others go on to the function that was there. Rewards are called from eight threads, built twice (training and
evaluation), and see pictures; one changed line of the script hands over latents and embeddings too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.integrations.given import conditioning_of, latent_of, levels_of, picture_of, rows_of, unpacked_latent
from dina_lrm.integrations.scorer import Asked, Scorer, ScorerSettings, shared_scorer
from dina_lrm.integrations.worded import WordedItem
from dina_lrm.serving.items import LatentItem, PictureItem
from dina_lrm.typed import DinaError

Details = dict[str, Any]
Scores = Callable[..., tuple[Details, Mapping[str, Any]]]
MultiScore = Callable[[Any, Mapping[str, float]], Scores]
"""flow_grpo's `multi_score(device, score_dict)`."""


def install(model: str = "synthetic", *, name: str = "dina", noise_level: object = None, seed: int = 0,
            max_batch: int = 16, max_wait_ms: float = 10.0) -> None:  # fmt: skip
    """Put the row `name` into flow_grpo's table in this process; called again with another name, there are two.

    `model` is a reward model, remote:http://HOST:PORT/NAME, or a reward of pictures; it is loaded on the trainer's
    device when the table is built. `noise_level` is a number in [0, 1], a list for an ensemble, or None for the model's
    own; `seed` draws the noise, common to all samples so that those of a group can be compared.

    Raises ValueError for settings that are none, and ImportError without flow_grpo.
    """
    rewards = import_module("flow_grpo.rewards")
    rewards.multi_score = with_row(  # type: ignore[attr-defined]
        rewards.multi_score,
        name,
        model,
        levels_of(noise_level),
        seed,
        max_batch,
        max_wait_ms,
    )


def with_row(
    stock: MultiScore,
    name: str,
    model: str,
    levels: tuple[float, ...] = (),
    seed: int = 0,
    max_batch: int = 16,
    max_wait_ms: float = 10.0,
) -> MultiScore:
    """A `multi_score` with one row more than the `stock` one."""

    def multi_score(device: Any, score_dict: Mapping[str, float]) -> Scores:  # noqa: ANN401 - a torch.device or its name
        weights = dict(score_dict)
        weight = weights.pop(name, None)
        if weight is None:
            return stock(device, score_dict)
        settings = ScorerSettings(model, str(device), max_batch=max_batch, max_wait_ms=max_wait_ms)
        others = stock(device, weights) if weights else None
        return Row(name, float(weight), shared_scorer(settings), levels, seed, others)

    return multi_score


@final
@dataclass(frozen=True)
class Row:
    """What flow_grpo submits to its threads: scores of every row of the table, and their weighted sum."""

    name: str
    weight: float
    scorer: Scorer
    levels: tuple[float, ...] = ()
    seed: int = 0
    others: Scores | None = None

    def __call__(
        self,
        images: object,
        prompts: Sequence[str],
        metadata: object,
        *more: object,
        latents: object = None,
        told: object = None,
        **named: object,
    ) -> tuple[Details, Mapping[str, Any]]:
        """Raw scores under the row's name, beside those of the other rows; `avg` is the sum of all, weighted.

        `images` are floats (batch, 3, height, width) in [0, 1], an array (batch, height, width, 3) of uint8, or PIL.
        `latents` (clean, the sampler's last) are read in their place; `told` are embeddings and pooled vectors. What
        else is given (only_strict, ref_images) goes to the other rows.

        Raises:
            ValueError: for what the model cannot read; it says which sample.
            NoScoreError, RemoteRewardError: no finite score; no server.
        """
        details, extra = ({}, {}) if self.others is None else self.others(images, prompts, metadata, *more, **named)
        if self.name in details:
            raise DinaError(f"flow_grpo: another reward is called {self.name!r}; accepted: install(name=...)")
        own = self.scorer.scores(self._items(images, list(prompts), latents, told))
        before = [0.0] * len(own) if self.others is None else [float(value) for value in details["avg"]]
        total = [value + self.weight * score for value, score in zip(before, own, strict=True)]
        return {**details, self.name: own, "avg": total}, extra

    def _items(self, images: object, prompts: list[str], latents: object, told: object) -> list[Asked]:
        pictures = rows_of("images", _channels_first(images), len(prompts))
        if latents is None:
            return [
                PictureItem(picture_of(f"images[{row}]", each), text, self.levels, self.seed)
                for row, (each, text) in enumerate(zip(pictures, prompts, strict=True))
            ]
        clean = [self._latent(*pair) for pair in zip(rows_of("latents", latents, len(prompts)), pictures, strict=True)]
        if told is None:
            return [WordedItem(x, text, self.levels, self.seed) for x, text in zip(clean, prompts, strict=True)]
        return [
            LatentItem(x, row, self.levels, self.seed)
            for x, row in zip(clean, _told_rows(told, len(prompts)), strict=True)
        ]

    def _latent(self, latent: object, picture: object) -> Tensor:
        """One latent; tokens of FLUX and Qwen-Image are unpacked to the size of the picture."""
        if isinstance(latent, Tensor) and latent.ndim == 2:
            seen = picture_of("images", picture)
            return unpacked_latent("latents", latent, seen.height, seen.width)
        return latent_of("latents", latent)


def _told_rows(told: object, count: int) -> list[Conditioning]:
    if isinstance(told, Conditioning):
        return [told[row] for row in range(len(told))]
    if not isinstance(told, Sequence) or not 1 <= len(told) <= 3:
        raise DinaError(f"told: {type(told).__name__}; accepted: (prompt_embeds, pooled_prompt_embeds[, prompt_mask])")
    names = ("prompt_embeds", "pooled_prompt_embeds", "prompt_mask")
    parts = [rows_of(name, values, count) for name, values in zip(names, told, strict=False)]
    return [conditioning_of(*row) for row in zip(*parts, strict=True)]


def _channels_first(images: object) -> object:
    """Arrays of uint8 with the channels last, as pictures with the channels first; others as they are."""
    if isinstance(images, np.ndarray) and images.ndim == 4 and images.shape[-1] == 3:
        return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return images
