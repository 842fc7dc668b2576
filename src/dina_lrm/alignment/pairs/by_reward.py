"""What the reward does with given pairs, where it is asked to: it filters them, or says in people's place who won.

One of the two at most, and then it is no judge of the result: what a reward chose will look good to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.dpo_settings import RewardUse
from dina_lrm.alignment.pairs.errors import latents_of
from dina_lrm.alignment.pairs.learned import LearnedPairs, PairColumns
from dina_lrm.alignment.pairs.left_out import LeftOut
from dina_lrm.generators.generator import Generator
from dina_lrm.sampling.objective import Objective
from dina_lrm.typed import DinaError

DISAGREES: Final = "where the reward prefers the other picture"
_SEED: Final = 0


def with_reward(
    pairs: LearnedPairs, use: RewardUse, generator: Generator, objective: Objective, batch_size: int
) -> LearnedPairs:
    """The pairs with which the reward agrees ("filters"), or all with its P(a preferred) ("labels").

    Ties have no side that it could disagree with, and stay. Raises ValueError where nothing is left, and for labels by
    anything but one latent reward, which knows its own certainty.
    """
    if use == "judges":
        return pairs
    model = objective.latent_model("dpo.reward labels: needs") if use == "labels" else None
    margin = _margins(pairs, generator, objective, batch_size)
    if model is not None:
        return replace(pairs, trained=replace(pairs.trained, preference=model.preferred(margin, None).float().cpu()))
    agrees = margin.sign() * (pairs.trained.preference - 0.5) >= 0
    left_out = LeftOut(pairs.left_out.counts.copy(), dict(pairs.left_out.first))
    left_out.add(DISAGREES, int((~agrees).sum()))
    if not agrees.any():
        raise DinaError(f"dpo.reward: filters leaves none of {pairs.found} comparisons: {left_out.told()}")
    return replace(pairs, trained=pairs.trained.take(agrees.nonzero().flatten()), left_out=left_out)


@torch.no_grad()
def _margins(
    pairs: LearnedPairs, generator: Generator, objective: Objective, batch_size: int
) -> Float[Tensor, " pairs"]:
    """Score of a minus score of b, with one draw of the reward's noise for all of them."""
    found = torch.zeros(len(pairs.trained))
    for bucket in pairs.trained.bucket_a.unique().tolist():
        rows = (pairs.trained.bucket_a == bucket).nonzero().flatten()
        for some in rows.split(max(1, batch_size)):
            found[some] = _some_margins(pairs, pairs.trained.take(some), bucket, generator, objective).cpu()
    return found


def _some_margins(
    pairs: LearnedPairs, some: PairColumns, bucket: int, generator: Generator, objective: Objective
) -> Float[Tensor, " pairs"]:
    backbone, data = generator.backbone, pairs.data
    latents = latents_of(data, bucket, torch.cat([some.image_a, some.image_b])).to(backbone.device)
    prompt = some.prompt.repeat(2)
    told = data.conditioning_of(prompt).to(backbone.device, backbone.dtype)
    scores = objective(latents, [data.prompts[row] for row in prompt.tolist()], _SEED, told).total
    first, second = scores.chunk(2)
    return first - second
