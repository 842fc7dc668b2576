"""Pictures of the synthetic world that are encoded only when a latent reward model has to judge them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float32
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import Missing
from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.synthetic.comparisons import SyntheticComparisons
from dina_lrm.synthetic.encoding import encode, pair_names, prompt_rows

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

ReportProgress = Callable[[int, int], None]
"""Called with (pictures done, pictures of the set)."""


class RenderedComparisons:
    """Judged pictures as a set of comparisons; `backbone` is asked for when they are first encoded, and once.

    Rows of images and prompts are those of the encoded set. The content hash is one of pictures, prompts and labels:
    it is the same whatever generator encodes them. A set whose encoding is `shared` has the same pictures and pairs.
    """

    def __init__(
        self,
        drawn: SyntheticComparisons,
        backbone: Callable[[], Backbone],
        shared: RenderedComparisons | None = None,
    ) -> None:
        self.drawn, self._backbone, self._shared = drawn, backbone, shared
        self.prompts, prompt = prompt_rows(drawn)
        count, pairs = len(drawn), torch.from_numpy(drawn.pairs)
        self.pairs = PairTable(
            number=torch.arange(count),
            prompt=prompt,
            bucket_a=torch.zeros(count, dtype=torch.long),
            image_a=pairs[:, 0],
            bucket_b=torch.zeros(count, dtype=torch.long),
            image_b=pairs[:, 1],
            preference=torch.from_numpy(drawn.preference).float(),
            weight=torch.ones(count),
            pair_id=pair_names(drawn),
            prompt_id=[None] * count,
            source=[None] * count,
        )
        self.missing: tuple[Missing, ...] = ()
        self._encoded: EncodedComparisons | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def preference(self) -> Float32[Tensor, " pairs"]:
        """P(first image preferred) of each comparison."""
        return self.pairs.preference

    def about(self, name: str) -> RenderedComparisons:
        """The same pictures, encoded once for both, with what was said of an axis. ValueError for one not asked of."""
        return RenderedComparisons(self.drawn.about(name), self._backbone, self)

    @property
    def images(self) -> int:
        """Number of pictures."""
        return len(self.drawn.images)

    @cached_property
    def content_hash(self) -> str:
        """One hash of pictures, prompts and labels."""
        return self.drawn.fingerprint

    def encoded(self, progress: ReportProgress | None = None) -> EncodedComparisons:
        """The comparisons encoded for the generator."""
        if self._encoded is None and self._shared is not None:
            self._encoded = self._shared.encoded(progress).with_preference(self.preference, "of another question")
        if self._encoded is None:
            self._encoded = encode(self.drawn, self._backbone(), progress=progress)
        return self._encoded
