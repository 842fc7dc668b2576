"""A reward on a server, behind the face that a model of this process has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, final

import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.images import image_pixels
from dina_lrm.integrations.worded import WordedItem
from dina_lrm.rewards.remote import RemoteReward
from dina_lrm.serving.items import Item, ItemScore, LatentItem, PictureItem
from dina_lrm.serving.problems import unprocessable


@final
class RemoteServed:
    """Sends latents with their conditioning or words, and pictures; items that are read alike go in one request."""

    revision = ""

    def __init__(self, reward: RemoteReward) -> None:
        self.name, self.reward = reward.name, reward

    def check(self, item: Item | WordedItem) -> None:
        """Refuse noisy states, and what a server of protocol 1 alone has no place for."""
        if isinstance(item, LatentItem) and item.state == "noisy":
            raise unprocessable("bad_state", f"{self.name} is sent clean latents here; no noisy states")
        if self.reward.service.protocol != "1":
            return
        told = f"{self.name} speaks protocol 1 alone: latents with their embeddings, at one level"
        if not isinstance(item, LatentItem):
            raise unprocessable("no_pictures" if isinstance(item, PictureItem) else "no_texts", told)
        if len(item.levels) > 1:
            raise unprocessable("bad_levels", told)

    def score(self, items: Sequence[Item | WordedItem]) -> list[ItemScore]:
        """Score items of one key."""
        found: dict[int, float] = {}
        for reading in dict.fromkeys((item.levels, item.seed) for item in items):
            rows = [row for row, item in enumerate(items) if (item.levels, item.seed) == reading]
            scores = self._scores([items[row] for row in rows], *reading)
            found.update(zip(rows, scores, strict=True))
        return [ItemScore(found[row]) for row in range(len(items))]

    def encode(self, texts: Sequence[str]) -> NoReturn:
        """Refuse: a server encodes prompts with the latents that they belong to."""
        raise unprocessable("no_texts", f"{self.name} is sent the words of {len(texts)} prompts beside their latents")

    def z(self, raw: float) -> float:
        """Refuse: raw scores are what is asked for."""
        raise unprocessable("no_statistics", f"{self.name} is asked for raw scores; {raw:g} is one")

    def probability(self, margin: float, levels: tuple[float, ...]) -> float:
        """Refuse: scores are what is asked for."""
        raise unprocessable("no_probability", f"{self.name} is asked for scores; {margin:g} is a margin of them")

    def info(self) -> dict[str, Any]:
        """Where it is."""
        return {"kind": "remote", "reward": self.name}

    def _scores(self, items: Sequence[Item | WordedItem], levels: tuple[float, ...], seed: int) -> list[float]:
        """Scores of items of one kind, read at the same levels with the noise of one seed."""
        reward = self.reward.read_at(levels if len(levels) > 1 else levels[0]) if levels else self.reward
        latents = [item for item in items if isinstance(item, LatentItem)]
        worded = [item for item in items if isinstance(item, WordedItem)]
        pictures = [item for item in items if isinstance(item, PictureItem)]
        if pictures:
            pixels = torch.stack([image_pixels(item.picture) for item in pictures])
            return reward.score_pictures(pixels, [item.prompt for item in pictures], seed).tolist()
        together = torch.stack([item.latents for item in latents or worded]).float().cpu()
        if worded:
            return reward.score_texts(together, [item.prompt for item in worded], seed).tolist()
        told = Conditioning.cat([item.conditioning for item in latents]).to("cpu")
        return reward.score(together, told, seed).tolist()
