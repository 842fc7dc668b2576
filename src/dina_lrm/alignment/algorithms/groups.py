"""Images of one prompt as a group, known by the prompt's id: neither order nor place in the batch matters."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.typed import DinaError


def finite(name: str, values: Tensor) -> Float[Tensor, " samples"]:
    """The values in float64. ValueError, with the place of the first, where one is not finite."""
    bad = (~values.isfinite()).nonzero().flatten().tolist()
    if bad:
        raise DinaError(f"{name}: {len(bad)} of {len(values)} values are not finite, the first at index {bad[0]}")
    return values.double()


def groups_of(prompt_ids: Tensor, samples: int) -> tuple[Int64[Tensor, " samples"], Int64[Tensor, " groups"]]:
    """The number of each sample's group, and how many samples each group has.

    Raises:
        ValueError: for another number of ids than samples, and for a group of one.
    """
    if len(prompt_ids) != samples or not samples:
        raise DinaError(f"{samples} rewards and {len(prompt_ids)} prompt ids; accepted: one id a reward")
    ids, group, counts = prompt_ids.unique(return_inverse=True, return_counts=True)
    alone = ids[counts < 2].tolist()
    if alone:
        raise DinaError(
            f"prompt {alone[0]} has a group of one image ({len(alone)} such prompts): nothing to compare it with; "
            "accepted: at least two images a prompt"
        )
    return group, counts


def complete_groups_of(prompt_ids: Tensor, samples: int) -> tuple[Int64[Tensor, " samples"], Int64[Tensor, " groups"]]:
    """As `groups_of`, for what needs groups of one size: ValueError, naming prompt and sizes, where they differ."""
    group, counts = groups_of(prompt_ids, samples)
    largest = int(counts.max())
    short = (counts < largest).nonzero().flatten().tolist()
    if short:
        prompt = prompt_ids[group == short[0]][0].item()
        raise DinaError(
            f"prompt {prompt} has {int(counts[short[0]])} images where others have {largest} ({len(short)} such "
            "prompts); accepted: complete groups, as many images of each prompt"
        )
    return group, counts


def group_means(
    values: Float[Tensor, " samples"], group: Int64[Tensor, " samples"], counts: Int64[Tensor, " groups"]
) -> Float[Tensor, " groups"]:
    """The mean of each group; differentiable."""
    return torch.zeros(len(counts), dtype=values.dtype, device=values.device).index_add(0, group, values) / counts


def centred(values: Float[Tensor, " samples"], prompt_ids: Int64[Tensor, " samples"]) -> Float[Tensor, " samples"]:
    """Each value less the mean of its group, added up in float64. ValueError as `groups_of`."""
    group, counts = groups_of(prompt_ids, len(values))
    return (values.double() - group_means(values.double(), group, counts)[group]).to(values.dtype)
