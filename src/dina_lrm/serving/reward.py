"""Any reward of pictures behind a name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, final

import torch
from torch import nn

from dina_lrm.images import image_pixels
from dina_lrm.reward_model.kept_prompts import KeptPrompt
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.judged import as_scores
from dina_lrm.serving.items import Item, ItemScore, LatentItem, PictureItem
from dina_lrm.serving.problems import unprocessable


@final
class PictureServed:
    """Any reward of pictures (CLIP, PickScore, a function of one's own), which reads no latents."""

    revision = ""

    def __init__(self, name: str, reward: Reward) -> None:
        self.name, self.reward = name, reward

    def check(self, item: Item) -> None:
        """Refuse latents, levels and seeds, which mean nothing here."""
        if isinstance(item, LatentItem):
            raise unprocessable("no_latents", f"{self.name} reads pictures; accepted at /v1/score/images")
        if item.levels:
            raise unprocessable("bad_levels", f"{self.name} adds no noise; accepted: no levels")

    def score(self, items: Sequence[Item]) -> list[ItemScore]:
        """Score pictures of one size."""
        pictures = [item for item in items if isinstance(item, PictureItem)]
        pixels = torch.stack([image_pixels(item.picture) for item in pictures])
        with torch.no_grad():
            found = self.reward(pixels, [item.prompt for item in pictures])
        scores = as_scores(self.name, found, len(pictures))
        return [ItemScore(float(score) if math.isfinite(score) else math.nan) for score in scores]

    def warm(self) -> None:
        """Nothing is left to load."""

    def held(self) -> list[nn.Module]:
        """The networks of the reward, and of those that it is made of."""
        return [*_modules(self.reward)]

    def encode(self, texts: Sequence[str]) -> list[KeptPrompt]:
        """Refuse: there is no conditioning here."""
        raise unprocessable("no_latents", f"{self.name} reads pictures and has no conditioning of {len(texts)} prompts")

    def z(self, raw: float) -> float:
        """Refuse: other rewards store no statistics."""
        raise unprocessable("no_statistics", f"{self.name} has no mean and deviation of its scores")

    def probability(self, margin: float, levels: tuple[float, ...]) -> float:
        """Refuse: other rewards are no likelihood."""
        raise unprocessable("no_probability", f"{self.name} gives scores; a margin of {margin:g} is no probability")

    def info(self) -> dict[str, Any]:
        """What it is called, and that it reads pictures."""
        return {"kind": "pictures", "revision": self.revision, "reward": self.reward.name}


def _modules(value: object) -> Iterator[nn.Module]:
    """Networks among the fields of a reward, however deep."""
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _modules(part)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _modules(getattr(value, field.name))
