"""What is asked of a model, item by item, and what it answers; protocols make the one, the engine the other."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import conditioning_bytes
from dina_lrm.reward_model.kept_prompts import KeptPrompt
from dina_lrm.serving.problems import Problem

ScoreKind = Literal["raw", "z"]
State = Literal["clean", "noisy"]


def unread(prompt: KeptPrompt) -> tuple[tuple[str, str], ...]:
    """What is noticed of an item whose prompt could not all be read."""
    return () if prompt.unread is None else (("prompt_not_read", prompt.unread),)


@dataclass(frozen=True, eq=False)
class LatentItem:
    """One latent (channels, height, width) and one prompt.

    A clean latent is read at `levels`, with the noise of `seed`: one level, or those of a token-level ensemble; none
    are the model's own. A noisy one is a state at its single level, and gets no noise.
    """

    latents: Float[Tensor, "channels height width"]
    conditioning: Conditioning
    levels: tuple[float, ...] = ()
    seed: int = 0
    state: State = "clean"
    noticed: tuple[tuple[str, str], ...] = ()
    """Sentences by code that were known before it was scored."""
    sharers: int = 1
    """Items of the request that hold this very conditioning; its bytes are divided among them."""
    own: bool = False
    """Whether it is surely a generator's own: one that is too large is scored then, with a warning."""

    @property
    def size(self) -> int:
        """Bytes that it holds while it waits."""
        return self.latents.nbytes + math.ceil(conditioning_bytes(self.conditioning) / self.sharers)

    @property
    def key(self) -> Hashable:
        """Equal for items that one batch may hold: nothing is ever padded."""
        told = self.conditioning
        pooled = None if told.pooled_prompt_embeds is None else told.pooled_prompt_embeds.shape[1:]
        shapes = (tuple(self.latents.shape), tuple(told.prompt_embeds.shape[1:]), pooled, told.prompt_mask is None)
        ensemble = self.levels if len(self.levels) > 1 else len(self.levels)
        return ("latents", *shapes, self.latents.dtype, told.prompt_embeds.dtype, self.state, ensemble)


@dataclass(frozen=True, eq=False)
class PictureItem:
    """One decoded picture and the text of its prompt; `levels` and `seed` are as those of a latent."""

    picture: Image.Image
    prompt: str
    levels: tuple[float, ...] = ()
    seed: int = 0

    @property
    def size(self) -> int:
        """Bytes that it holds while it waits."""
        return 3 * self.picture.width * self.picture.height + len(self.prompt)

    @property
    def key(self) -> Hashable:
        """Equal for items that one batch may hold."""
        return ("pictures", self.picture.size, self.levels)


Item = LatentItem | PictureItem


@dataclass(frozen=True)
class ItemScore:
    """A raw score, and sentences by code about what was read (a prompt that was cut).

    `named` has, of a model with several scores, each one by name: raw, and as z-score where the model knows its scale.
    """

    raw: float
    warnings: tuple[tuple[str, str], ...] = ()
    named: tuple[tuple[str, float, float | None], ...] = ()


@dataclass(frozen=True)
class Request:
    """What a protocol read: items in order, the models and the kinds of score asked for.

    `told` are facts for the answer, such as the seeds that were drawn.
    """

    items: tuple[Item, ...]
    models: tuple[str, ...]
    kinds: tuple[ScoreKind, ...] = ("raw",)
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelScores:
    """One model's answer to a request: a score or a reason for each item, and how long it took in milliseconds."""

    model: str
    scores: tuple[ItemScore | Problem, ...]
    queue_ms: float = 0.0
    compute_ms: float = 0.0

    def raw(self, place: str = "item {}") -> list[float]:
        """The raw score of every item. Raises the first item's problem, saying its number by `place`."""
        found = []
        for number, score in enumerate(self.scores):
            if isinstance(score, Problem):
                raise score.at(place.format(number))
            found.append(score.raw)
        return found
