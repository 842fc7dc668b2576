"""A latent with the words of its prompt: of trainers that hand over latents and no embeddings."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.serving.items import LatentItem


@dataclass(frozen=True, eq=False)
class WordedItem:
    """One clean latent and the text of its prompt, which whoever scores it encodes; the rest is as in `LatentItem`."""

    latents: Float[Tensor, "channels height width"]
    prompt: str
    levels: tuple[float, ...] = ()
    seed: int = 0

    @property
    def key(self) -> Hashable:
        """Equal for items that one batch may hold."""
        return ("worded", tuple(self.latents.shape), self.latents.dtype, self.levels)

    def told(self, conditioning: Conditioning) -> LatentItem:
        """The same latent with its prompt encoded."""
        return LatentItem(self.latents, conditioning, self.levels, self.seed)
