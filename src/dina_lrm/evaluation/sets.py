"""What a model is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.plain import PlainComparisons
from dina_lrm.evaluation.diagnostics import PairGroups
from dina_lrm.evaluation.rendered import RenderedComparisons
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError

Comparisons = EncodedComparisons | RenderedComparisons | PlainComparisons


@dataclass(frozen=True, eq=False)
class Part:
    """The comparisons that a set was taken out of, and which rows of them are its own, in its order.

    Pictures and prompts are the same in both: who scored those has scored the set.
    """

    of: Comparisons
    rows: Int[np.ndarray, " pairs"]


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Comparisons, encoded for a generator, rendered or plain, and what is known about them.

    `ceiling` is the accuracy of a judge that knows the true utility (Bayes), `true_probability` P(first preferred) of
    each pair; both are known on the synthetic world only. `notes` are sentences that every report of the set must
    show, such as the error of the oracle that made its labels. `pictures` gives both images of a pair by its row, for
    reports: (h, w, 3) uint8. `part` says what it was taken out of, where it was.
    """

    name: str
    data: Comparisons
    ceiling: float | None = None
    true_probability: Float[np.ndarray, " pairs"] | None = None
    groups: PairGroups | None = None
    notes: tuple[str, ...] = ()
    pictures: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None
    part: Part | None = None

    def __post_init__(self) -> None:
        if len(self.data) == 0:
            raise DinaError(f"evaluation set {self.name!r} holds no comparison")
        pairs = len(self.data)
        if self.true_probability is not None and len(self.true_probability) != pairs:
            given = len(self.true_probability)
            raise DinaError(f"evaluation set {self.name!r}: {given} true probabilities for {pairs} pairs")
        if self.groups is not None and len(self.groups.kind) != pairs:
            raise DinaError(f"evaluation set {self.name!r}: groups of {len(self.groups.kind)} pairs for {pairs} pairs")

    @property
    def encoded(self) -> EncodedComparisons:
        """The comparisons encoded for a generator, rendered ones now if need be. Raises ValueError for a plain set."""
        if isinstance(self.data, RenderedComparisons):
            return self.data.encoded()
        if isinstance(self.data, EncodedComparisons):
            return self.data
        raise DinaError(f"evaluation set {self.name!r} is not encoded; latent reward models encode it when they judge")

    @property
    def diagnostic_only(self) -> bool:
        """Whether every pair sets a perfect image against one fault."""
        return self.groups is not None and all(self.groups.kind)


@torch.no_grad()
def decoded_pair(model: LatentRewardModel, data: EncodedComparisons, pair: int) -> tuple[np.ndarray, np.ndarray]:
    """Both images of a pair, (h, w, 3) uint8, as the generator's decoder draws their latents."""
    batch = data.batch(torch.tensor([pair])).to(model.device)
    pictures = [picture for part in batch.images for picture in _pictures(model.backbone.decode_latents(part.latents))]
    return pictures[int(batch.first)], pictures[int(batch.second)]


def _pictures(pixels: Float[Tensor, "images 3 height width"]) -> np.ndarray:
    found: np.ndarray = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return found
