"""What one optimiser step reads: which pairs, at which noise levels, with which noise. A function of (seed, step).

The batch of a step is cut over processes, then into micro-batches; every part takes its numbers from those of the
whole, so that the cuts change rounding and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.data.batches import BatchPlan
from dina_lrm.data.cache.batch import ComparisonBatch
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.preference.noise_levels import NoiseLevelSampler
from dina_lrm.training.randomness import mixed_seed, step_levels, step_noise
from dina_lrm.training.validation import pair_name
from dina_lrm.typed import DinaError


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Some pairs of a step, with one noise level (or several read together) a prompt group.

    `noise` has for each size of `batch.images` one draw a prompt group that has an image of that size.
    """

    pair_names: Sequence[str]
    batch: ComparisonBatch
    noise_level: Float[Tensor, "groups ..."]
    noise: Sequence[Float[Tensor, "groups channels height width"]]


@dataclass(frozen=True, eq=False)
class StepInputs:
    """This process's share of one step; `total_weight` is that of the whole batch over all processes."""

    step: int
    micro_batches: Sequence[MicroBatch]
    total_weight: float


def split_by_prompt(
    data: EncodedComparisons, fraction: float, seed: int
) -> tuple[EncodedComparisons, EncodedComparisons]:
    """(rest, held out): `fraction` of the prompts are held out with all their comparisons.

    Raises `ValueError` when that leaves either side empty.
    """
    prompts = data.pairs.prompt
    unique = prompts.unique()
    order = torch.randperm(len(unique), generator=torch.Generator().manual_seed(mixed_seed(seed)))
    held = torch.isin(prompts, unique[order[: round(fraction * len(unique))]])
    if held.all() or not held.any():
        raise DinaError(
            f"validation_fraction {fraction} of {len(unique)} prompts holds out {int(held.sum())} of {len(data)} "
            "pairs; both sides need one. Use more prompts, another fraction or a validation set"
        )
    return data.subset((~held).nonzero().flatten()), data.subset(held.nonzero().flatten())


def weighted_by_prompt(data: EncodedComparisons) -> EncodedComparisons:
    """The same comparisons, each weighing 1 / number of comparisons of its prompt, times its own weight."""
    pairs = replace(data.pairs, weight=data.pairs.weight / data.pairs.prompt.bincount()[data.pairs.prompt])
    return EncodedComparisons(
        data.latents, data.conditioning, data.prompts, data.truncated, pairs, data.missing, data.header
    )


class StepSource:
    """Builds the inputs of any step, in any order, for one process."""

    def __init__(
        self,
        data: EncodedComparisons,
        sampler: NoiseLevelSampler,
        batch_size: int,
        seed: int,
        stratified: bool = True,
        accumulation: int = 1,
        rank: int = 0,
        world: int = 1,
        together: int = 1,
    ) -> None:
        self.data = data
        prompts = data.pairs.prompt
        BatchPlan(data.buckets, batch_size, seed, prompts, world=world)  # raises where a process would have no pair
        self.plan = BatchPlan(data.buckets, batch_size, seed, prompts)
        self._sampler, self._seed, self._stratified, self._together = sampler, seed, stratified, together
        self._accumulation, self._rank, self._world = accumulation, rank, world

    def steps_in(self, epochs: float) -> int:
        """Optimiser steps of so many passes over the data, at least 1."""
        whole = int(epochs)
        part = epochs - whole
        steps = self.plan.first_step(whole)
        return max(1, steps + round(part * (self.plan.first_step(whole + 1) - steps)) if part else steps)

    def __call__(self, step: int) -> StepInputs:
        """The share of this process in `step`."""
        whole = self.plan.batch(step)
        keys = self.data.pairs.prompt[whole].unique()
        levels = step_levels(self._sampler, self._seed, step, len(keys) * self._together, self._stratified)
        if self._together > 1:
            levels = levels.view(len(keys), self._together)
        mine = whole.tensor_split(self._world)[self._rank]
        parts = [part for part in mine.tensor_split(self._accumulation) if len(part)]
        micro = [self._micro_batch(step, part, keys, levels) for part in parts]
        return StepInputs(step, micro, float(self.data.weight[whole].sum()))

    def _micro_batch(self, step: int, indices: Tensor, keys: Tensor, levels: Tensor) -> MicroBatch:
        batch = self.data.batch(indices)
        prompt_of_group = torch.empty(batch.groups, dtype=torch.long)
        prompt_of_group[batch.group[batch.first]] = self.data.pairs.prompt[indices]
        noise = [
            step_noise(tuple(part.latents.shape[1:]), self._seed, step, prompt_of_group[part.groups].tolist())
            for part in batch.images
        ]
        names = [pair_name(self.data, row) for row in indices.tolist()]
        return MicroBatch(names, batch, levels[torch.searchsorted(keys, prompt_of_group)], noise)


class Prefetcher:
    """Builds the next step's inputs in a thread while this one computes."""

    def __init__(self, source: Callable[[int], StepInputs], last: int) -> None:
        self._source, self._last = source, last
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._next: tuple[int, Future[StepInputs]] | None = None

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __call__(self, step: int) -> StepInputs:
        """The inputs of `step`; an error in building them is raised here."""
        pending = self._next if self._next is not None and self._next[0] == step else None
        future = pending[1] if pending is not None else self._pool.submit(self._source, step)
        self._next = (step + 1, self._pool.submit(self._source, step + 1)) if step < self._last else None
        return future.result()
