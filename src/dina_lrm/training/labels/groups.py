r"""Groups of pictures of one prompt as what is learned from (LRR's group-level Thurstone loss).

    L = mean over groups g of  1 / |S_g| * sum over (i, j) in S_g of l(r_i - r_j, sigma_g, y_ij)

for each score by itself: S_g are the pairs of a group of which something is said. In training a mean over judgements
does the same, where each weighs 1 / |S_g|: batches and processes may then cut groups as they like. A group of which
nothing is said has weight 0; a group of two is a pair.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import torch
from jaxtyping import Float32
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.pairs import SAYS_NOTHING, PairTable
from dina_lrm.training.batching import weighted_by_prompt
from dina_lrm.training.config import TrainConfig


def in_groups(config: TrainConfig, data: EncodedComparisons) -> EncodedComparisons:
    """What the teachers of a run judge: with a loss of groups all pairs of each prompt's pictures."""
    objective = config.objective
    if objective.weighting != "group" or (objective.teacher.name is None and not objective.teacher.of):
        return data
    return with_all_pairs(data, by_name=bool(config.judged_scores))


def weighted(config: TrainConfig, data: EncodedComparisons) -> EncodedComparisons:
    """The comparisons as they weigh in the loss of a run."""
    if config.objective.weighting == "group":
        return weighted_by_group(data, tuple(config.judged_scores))
    return weighted_by_prompt(data) if config.objective.weighting == "prompt" else data


def with_all_pairs(data: EncodedComparisons, by_name: bool) -> EncodedComparisons:
    """The comparisons and, behind them, all other pairs of pictures that are there for one prompt.

    Those say nothing until a teacher does: neither of a score by name nor, with a weight of 0, as a whole.
    """
    rows = _missing(data.pairs)
    if not rows:
        return data
    prompt, bucket_a, image_a, bucket_b, image_b = (torch.tensor(column) for column in zip(*rows, strict=True))
    count, own = len(rows), data.pairs
    names = [f"group of prompt {p}: {a}, {b}" for p, _, a, _, b in rows]
    added = PairTable(
        number=torch.arange(count) + int(own.number.max()) + 1,
        prompt=prompt,
        bucket_a=bucket_a,
        image_a=image_a,
        bucket_b=bucket_b,
        image_b=image_b,
        preference=torch.full((count,), 0.5),
        weight=torch.full((count,), float(by_name)),
        pair_id=names,
        prompt_id=[None] * count,
        source=[None] * count,
        preferences=[SAYS_NOTHING] * count,
    )
    return data.with_pairs(own.followed_by(added), "all pairs of groups")


def weighted_by_group(data: EncodedComparisons, scores: tuple[str, ...]) -> EncodedComparisons:
    """The same comparisons, what each says of a score weighing its share of what its group says of that.

    Their own weights count within their group alone. Without `scores` it is their plain preference.
    """
    pairs = data.pairs
    if not scores:
        return data.with_pairs(replace(pairs, weight=_shares(pairs.weight, pairs.prompt)), "by group")
    nothing = torch.full_like(pairs.weight, torch.nan)
    said = {name: pairs.labels.get(name, nothing).isfinite() for name in scores}
    shares = {name: _shares(torch.where(there, pairs.weight, 0.0), pairs.prompt) for name, there in said.items()}
    return data.with_pairs(replace(pairs, shares=shares), "by group")


def _shares(weight: Float32[Tensor, " pairs"], prompt: Tensor) -> Float32[Tensor, " pairs"]:
    of_group = torch.zeros(int(prompt.max()) + 1).index_add_(0, prompt, weight)[prompt]
    return torch.where(of_group > 0, weight / of_group, 0.0)


def _missing(pairs: PairTable) -> list[tuple[int, int, int, int, int]]:
    """Prompt, bucket and image of both sides, of each pair of pictures of a prompt that is not compared."""
    columns = (pairs.prompt, pairs.bucket_a, pairs.image_a, pairs.bucket_b, pairs.image_b)
    known: dict[int, set[frozenset[tuple[int, int]]]] = {}
    pictures: dict[int, dict[tuple[int, int], None]] = {}
    for prompt, *sides in zip(*(column.tolist() for column in columns), strict=True):
        a, b = (sides[0], sides[1]), (sides[2], sides[3])
        known.setdefault(prompt, set()).add(frozenset((a, b)))
        pictures.setdefault(prompt, {}).update(dict.fromkeys((a, b)))
    return [
        (prompt, *a, *b)
        for prompt, there in pictures.items()
        for a, b in combinations(there, 2)
        if frozenset((a, b)) not in known[prompt]
    ]
