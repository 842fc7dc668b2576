"""Comparisons that are read together: their images by size, each once for each prompt that it is judged for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.cache.row_buffers import RowBuffers, chosen_into
from dina_lrm.typed import DinaError


@dataclass(frozen=True, eq=False)
class SizedImages:
    """Images of one size, each once for each prompt that it is judged for: what goes through a model together.

    `latents` and `conditioning` have one row for each image. `groups` are the numbers, in their batch and ascending, of
    the prompts that an image here is judged for; `member` says which of these each image belongs to; `rows` says which
    of all images of its size, in the set that they are of, each image is.
    """

    latents: Float[Tensor, "images channels height width"]
    conditioning: Conditioning
    groups: Int64[Tensor, " groups"]
    member: Int64[Tensor, " images"]
    rows: Int64[Tensor, " images"]

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def group(self) -> Int64[Tensor, " images"]:
        """Number of the prompt of each image, in the batch."""
        return self.groups[self.member]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> SizedImages:
        """The images on `device`; `dtype` is that of latents and conditioning, None leaves them as they are."""
        return SizedImages(
            self.latents.to(device, dtype),
            self.conditioning.to(device, dtype),
            self.groups.to(device),
            self.member.to(device),
            self.rows.to(device),
        )


def conditioning_rows(told: Conditioning, rows: Int64[Tensor, " rows"], into: RowBuffers | None) -> Conditioning:
    """The chosen rows, as indexing gives them; in the memory of `into`, where that is given."""
    pooled, mask, cut = told.pooled_prompt_embeds, told.prompt_mask, told.truncated
    return Conditioning(
        chosen_into(told.prompt_embeds, rows, "prompt_embeds", into),
        None if pooled is None else chosen_into(pooled, rows, "pooled_prompt_embeds", into),
        None if mask is None else chosen_into(mask, rows, "prompt_mask", into),
        None if cut is None else tuple(cut[row] for row in rows.tolist()),
    )


@dataclass(frozen=True, eq=False)
class Judgements:
    """What is said of the pairs of a batch: each judgement is of one pair under one score.

    `pair` is a row of the batch, `score` the number of a score among those that the judgements were asked for.
    """

    pair: Int64[Tensor, " judgements"]
    score: Int64[Tensor, " judgements"]
    preference: Float32[Tensor, " judgements"]
    weight: Float32[Tensor, " judgements"]

    @classmethod
    def plain(cls, preference: Float32[Tensor, " pairs"], weight: Float32[Tensor, " pairs"]) -> Judgements:
        """Every pair's own preference, under a single score."""
        pair = torch.arange(len(preference), device=preference.device)
        return cls(pair, torch.zeros_like(pair), preference, weight)

    @classmethod
    def by_name(
        cls,
        labels: Mapping[str, Float32[Tensor, " pairs"]],
        weight: Float32[Tensor, " pairs"],
        scores: Mapping[str, float],
        shares: Mapping[str, Float32[Tensor, " pairs"]] | None = None,
    ) -> Judgements:
        """What `labels` (NaN: nothing) say of `scores`, in their order; each weighs its pair's times its score's.

        `shares` are weights of pairs for what they say of a score, in the place of their `weight`.
        """
        own = torch.stack([(shares or {}).get(name, weight) for name in scores])
        nothing = torch.full_like(weight, torch.nan)
        every = torch.stack([labels.get(name, nothing) for name in scores])
        score, pair = every.isfinite().nonzero().unbind(1)
        factor = torch.tensor([*scores.values()], dtype=weight.dtype)
        return cls(pair, score, every[score, pair], own[score, pair] * factor[score])

    def __len__(self) -> int:
        return len(self.pair)

    def to(self, device: torch.device | str) -> Judgements:
        """The same on `device`."""
        return Judgements(
            self.pair.to(device), self.score.to(device), self.preference.to(device), self.weight.to(device)
        )


@dataclass(frozen=True, eq=False)
class ComparisonBatch:
    """Comparisons, with their images by size.

    `first` and `second` say which images a comparison is about, counted over all of `images` in order; `group` numbers
    the prompt of each of them from 0, and `prompts` are the rows of these prompts. Images of one group share noise
    level and, where they have one size, noise. `beside`: some images are read for nothing but that other processes read
    some of their size. `named` has what is said by name, where that was asked for.
    """

    images: tuple[SizedImages, ...]
    first: Int64[Tensor, " pairs"]
    second: Int64[Tensor, " pairs"]
    prompts: Int64[Tensor, " groups"]
    preference: Float32[Tensor, " pairs"]
    weight: Float32[Tensor, " pairs"]
    beside: bool = False
    named: Judgements | None = None

    @property
    def judgements(self) -> Judgements:
        """What is said of the pairs: by name where that was asked for, else each pair's own preference."""
        return Judgements.plain(self.preference, self.weight) if self.named is None else self.named

    @classmethod
    def of_one_size(
        cls,
        latents: Float[Tensor, "images channels height width"],
        conditioning: Conditioning,
        first: Int64[Tensor, " pairs"],
        second: Int64[Tensor, " pairs"],
        group: Int64[Tensor, " images"],
        preference: Float32[Tensor, " pairs"],
        weight: Float32[Tensor, " pairs"],
    ) -> ComparisonBatch:
        """Comparisons whose images all have one size; every group from 0 on has an image, and is a prompt's row."""
        groups = torch.arange(int(group.max()) + 1, device=group.device)
        images = SizedImages(latents, conditioning, groups, group, torch.arange(len(latents), device=group.device))
        return cls((images,), first, second, groups, preference, weight)

    def __len__(self) -> int:
        return len(self.preference)

    @property
    def group(self) -> Int64[Tensor, " images"]:
        """Number of the prompt of each image."""
        return torch.cat([part.group for part in self.images])

    @property
    def groups(self) -> int:
        """Number of prompts."""
        return len(self.prompts)

    @property
    def latents(self) -> Float[Tensor, "images channels height width"]:
        """Those of all images. ValueError where they have several sizes: then each of `images` has its own."""
        return self._only.latents

    @property
    def conditioning(self) -> Conditioning:
        """That of all images. ValueError where they have several sizes: then each of `images` has its own."""
        return self._only.conditioning

    @property
    def _only(self) -> SizedImages:
        if len(self.images) > 1:
            sizes = ", ".join(f"{part.latents.shape[-2]}x{part.latents.shape[-1]}" for part in self.images)
            raise DinaError(f"the batch holds latents of {len(self.images)} sizes ({sizes}); read each of batch.images")
        return self.images[0]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ComparisonBatch:
        """The batch on `device`; `dtype` is that of latents and conditioning, None leaves them as they are."""
        return ComparisonBatch(
            tuple(part.to(device, dtype) for part in self.images),
            self.first.to(device),
            self.second.to(device),
            self.prompts.to(device),
            self.preference.to(device),
            self.weight.to(device),
            self.beside,
            None if self.named is None else self.named.to(device),
        )
