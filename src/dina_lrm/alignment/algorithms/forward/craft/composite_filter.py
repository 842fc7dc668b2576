"""Which samples are good enough to learn from (CRAFT, arXiv 2603.18991): better than a baseline by several rewards."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dina_lrm.typed import DinaError


def composite_filter(
    rewards: Mapping[str, Float[Tensor, " samples"]],
    baseline: Mapping[str, Float[Tensor, " samples"]],
    at_least: int,
) -> Bool[Tensor, " samples"]:
    """True for samples of which at least so many rewards lie above their baseline, such as the prompt's first image.

    A reward that is missing (NaN), or whose baseline is, lies above nothing. What is kept for `at_least` is among what
    is kept for less.

    Raises:
        ValueError: when names or sizes differ, for an `at_least` that is not between 1 and the number of rewards, and
            where nothing is kept, with how many each reward rejected.
    """
    if set(rewards) != set(baseline) or not rewards:
        raise DinaError(f"rewards {sorted(rewards)} and baselines {sorted(baseline)}; accepted: the same names")
    if not 1 <= at_least <= len(rewards):
        raise DinaError(f"at_least is {at_least} of {len(rewards)} rewards; accepted: 1 to {len(rewards)}")
    sizes = {len(values) for values in (*rewards.values(), *baseline.values())}
    if len(sizes) > 1:
        raise DinaError(f"rewards and baselines of {sorted(sizes)} samples; accepted: as many of each")
    above = {name: values > baseline[name] for name, values in rewards.items()}
    kept = torch.stack(list(above.values())).sum(0) >= at_least
    if not bool(kept.any()):
        rejected = ", ".join(f"{name} rejected {int((~passed).sum())}" for name, passed in above.items())
        raise DinaError(
            f"none of {len(kept)} samples is better than its baseline by {at_least} of {len(rewards)} rewards: "
            f"{rejected}; accepted: more candidates or prompts, or fewer rewards that have to agree"
        )
    return kept
