"""Comparisons whose images are read when they are needed: what judges of pictures are measured on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property

from jaxtyping import Float32
from torch import Tensor

from dina_lrm.data.cache.format import Missing
from dina_lrm.data.cache.pairs import COMMON_COLUMNS, NAMED, PairTable
from dina_lrm.data.comparison import Comparison, ImageSource, image_key
from dina_lrm.data.named import as_text, told_by_name


class PlainComparisons:
    """A set of comparisons in order; each distinct image and prompt has a number, and no image is decoded.

    Paths cost a few hundred bytes a comparison; images held in memory stay there. Nothing is missing before it is read.
    """

    def __init__(self, comparisons: Iterable[Comparison]) -> None:
        self.comparisons = tuple(comparisons)
        prompts: dict[str, int] = {}
        images: dict[str, int] = {}
        self.sources: list[ImageSource] = []
        rows = []
        for number, comparison in enumerate(self.comparisons):
            sides = []
            for source in (comparison.image_a, comparison.image_b):
                key = image_key(source)
                if key not in images:
                    images[key] = len(images)
                    self.sources.append(source)
                sides.append(images[key])
            prompt = prompts.setdefault(comparison.prompt, len(prompts))
            text = (comparison.pair_id, comparison.prompt_id, comparison.source)
            told = (comparison.preference, comparison.weight, *text, as_text(comparison.preferences))
            rows.append((number, prompt, 0, *sides, *told))
        self.pairs = PairTable.of_rows(rows, (*COMMON_COLUMNS, NAMED))
        self.prompts = tuple(prompts)
        self.missing: tuple[Missing, ...] = ()
        self._keys = tuple(images)

    def __len__(self) -> int:
        return len(self.comparisons)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.comparisons)

    def about(self, score: str) -> PlainComparisons:
        """The comparisons that say something of a score by name, with that as their plain preference."""
        said = ((one, told_by_name(as_text(one.preferences), one.preference).get(score)) for one in self.comparisons)
        return PlainComparisons(dataclasses.replace(one, preference=label) for one, label in said if label is not None)

    @property
    def preference(self) -> Float32[Tensor, " pairs"]:
        """P(first image preferred) of each comparison."""
        return self.pairs.preference

    @property
    def images(self) -> int:
        """Number of distinct images."""
        return len(self.sources)

    @cached_property
    def content_hash(self) -> str:
        """One hash of prompts, labels and the names of the images (the content of those in memory)."""
        digest = hashlib.sha256()
        for row in self.pairs.common_rows():
            digest.update(repr(row).encode())
        for name in (*self.prompts, *self._keys, *filter(None, self.pairs.preferences)):
            digest.update(name.encode())
        return digest.hexdigest()
