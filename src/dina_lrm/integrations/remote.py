"""A reward on a server, behind the face that a model of this process has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.remote import RemoteReward
from dina_lrm.serving.items import Item, ItemScore, LatentItem
from dina_lrm.serving.problems import unprocessable


@final
class RemoteServed:
    """Sends latents with their conditioning; items that are read at one level with one seed go in one request."""

    revision = ""

    def __init__(self, reward: RemoteReward) -> None:
        self.name, self.reward = reward.name, reward

    def check(self, item: Item) -> None:
        """Refuse pictures and ensembles, which the server is not asked for here."""
        if not isinstance(item, LatentItem):
            raise unprocessable("no_pictures", f"{self.name} is sent latents; no pictures")
        if len(item.levels) > 1 or item.state == "noisy":
            raise unprocessable("bad_levels", f"{self.name} reads clean latents at one level")

    def score(self, items: Sequence[Item]) -> list[ItemScore]:
        """Score items of one key."""
        latents = [item for item in items if isinstance(item, LatentItem)]
        found: dict[int, float] = {}
        for reading in dict.fromkeys((item.levels, item.seed) for item in latents):
            rows = [row for row, item in enumerate(latents) if (item.levels, item.seed) == reading]
            scores = self._scores([latents[row] for row in rows], *reading)
            found.update(zip(rows, scores, strict=True))
        return [ItemScore(found[row]) for row in range(len(latents))]

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Refuse: the conditioning is the trainer's."""
        raise unprocessable("no_texts", f"{self.name} is sent the embeddings of {len(texts)} prompts; none came")

    def z(self, raw: float) -> float:
        """Refuse: raw scores are what is asked for."""
        raise unprocessable("no_statistics", f"{self.name} is asked for raw scores; {raw:g} is one")

    def probability(self, margin: float, levels: tuple[float, ...]) -> float:
        """Refuse: scores are what is asked for."""
        raise unprocessable("no_probability", f"{self.name} is asked for scores; {margin:g} is a margin of them")

    def info(self) -> dict[str, Any]:
        """Where it is."""
        return {"kind": "remote", "reward": self.name}

    def _scores(self, items: Sequence[LatentItem], levels: tuple[float, ...], seed: int) -> list[float]:
        reward = self.reward.read_at(levels[0]) if levels else self.reward
        latents = torch.stack([item.latents for item in items]).float().cpu()
        told = Conditioning.cat([item.conditioning for item in items]).to("cpu")
        return reward.score(latents, told, seed).tolist()
