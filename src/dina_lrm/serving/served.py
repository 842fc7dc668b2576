"""What protocols and the engine ask of a model behind a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import nn

from dina_lrm.reward_model.kept_prompts import KeptPrompt
from dina_lrm.serving.items import Item, ItemScore


@runtime_checkable
class Served(Protocol):
    """A model behind a name."""

    name: str
    revision: str

    def check(self, item: Item) -> None:
        """Raise Problem for an item that the model cannot score; quick, before it waits."""

    def score(self, items: Sequence[Item]) -> list[ItemScore]:
        """Score items of one key; in the thread that computes."""

    def encode(self, texts: Sequence[str]) -> Sequence[KeptPrompt]:
        """Prompts encoded, in main memory; in the thread that computes."""

    def z(self, raw: float) -> float:
        """The normalised score. Problem 422 without statistics."""

    def probability(self, margin: float, levels: tuple[float, ...]) -> float:
        """P(first preferred) from the margin of two raw scores. Problem 422 where the model has no such."""

    def info(self) -> dict[str, Any]:
        """What the model is, as plain values."""


@runtime_checkable
class Loaded(Served, Protocol):
    """A model whose weights lie in this process."""

    def warm(self) -> None:
        """Load what the first request would wait for."""

    def held(self) -> Sequence[nn.Module]:
        """The modules that are in memory for it; several models may hold the same."""
