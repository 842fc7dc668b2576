r"""Advantages that favour what is unlike its neighbours (GARDO, arXiv 2512.24138).

A positive advantage is multiplied by d_i / mean d, with d_i the cosine distance of image i to the nearest other of its
group: among good images those count more that are not all the same. A negative one stays.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from dina_lrm.alignment.algorithms.groups import finite, group_means, groups_of


def diverse_advantages(
    advantage: Float[Tensor, "samples ..."],
    features: Float[Tensor, "samples d"],
    prompt_ids: Int64[Tensor, " samples"],
) -> Float[Tensor, "samples ..."]:
    """Advantages with positive ones scaled by how far an image is from its group's nearest, in means of the group.

    A group of images that are all the same keeps its advantages. ValueError for features that are not finite, and for
    a group of one.
    """
    group, counts = groups_of(prompt_ids, len(advantage))
    unit = normalize(finite("features", features.flatten()).unflatten(0, features.shape), dim=1)
    distance = (1 - unit @ unit.T).clamp(min=0)
    distance[group[:, None] != group[None, :]] = torch.inf
    nearest = distance.fill_diagonal_(torch.inf).amin(1)
    mean = group_means(nearest, group, counts)[group]
    scale = torch.where(mean > 1e-9, nearest / mean.clamp(min=1e-9), torch.ones_like(mean))
    scale = scale.to(advantage.dtype).reshape(-1, *(1 for _ in advantage.shape[1:]))
    return torch.where(advantage > 0, advantage * scale, advantage)


def features_of(latents: Float[Tensor, "samples channels height width"]) -> Float[Tensor, "samples d"]:
    """Clean latents as few numbers: means over a grid of 4 by 4, which say what is where and in what colour."""
    return adaptive_avg_pool2d(latents.float(), 4).flatten(1)
