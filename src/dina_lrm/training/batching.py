"""What one optimiser step reads: which pairs, at which noise levels, with which noise. A function of (seed, step).

The batch of a step is cut over processes, then into micro-batches; every part takes its numbers from those of the
whole, so that the cuts change rounding and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.data.batches import BatchPlan
from dina_lrm.data.cache.batch import ComparisonBatch
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.data.cache.row_buffers import RowBuffers
from dina_lrm.data.epochs import Indices, whole_cuts
from dina_lrm.data.position import BatchPosition
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
    noise: Sequence[Float[Tensor, "_ channels _ _"]]


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


@dataclass(frozen=True, eq=False)
class TokenBudget:
    """Tokens of each pair, and how many a step or a forward may have.

    `step` None: a step has a number of pairs. `forward` None: a process cuts its share into a number of micro-batches.
    """

    of_pair: Int64[Tensor, " pairs"]
    step: int | None = None
    forward: int | None = None


class StepSource:
    """Builds the inputs of any step, in any order, for one process.

    All processes cut a step into as many micro-batches, and a micro-batch of theirs has images of the same sizes: where
    one has no pair of a size that another has, it reads an image beside its own. So each computes the same forwards,
    which those that hold the weights together have to.

    With `reuses` the inputs of a step lie in memory that those of the step after the next are read into: for a run,
    which is done with a step before it asks for that.
    """

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
        tokens: TokenBudget | None = None,
        scores: Mapping[str, float] | None = None,
        reuses: bool = False,
    ) -> None:
        self.data, self._scores = data, dict(scores or {})
        self._buffers = (RowBuffers(), RowBuffers()) if reuses else None
        prompts = data.pairs.prompt
        if tokens is None or tokens.step is None:
            self.plan = BatchPlan(data.buckets, batch_size, seed, prompts)
        else:
            self.plan = BatchPlan(data.buckets, tokens.step, seed, prompts, costs=tokens.of_pair)
        self._sampler, self._seed, self._stratified, self._together = sampler, seed, stratified, together
        self._accumulation, self._rank, self._world, self._tokens = accumulation, rank, world, tokens
        self._check_world(self.plan.batch_size)

    def steps_in(self, epochs: float) -> int:
        """Optimiser steps of so many passes over the data, at least 1."""
        whole = int(epochs)
        part = epochs - whole
        steps = self.plan.first_step(whole)
        return max(1, steps + round(part * (self.plan.first_step(whole + 1) - steps)) if part else steps)

    def position(self, step: int, content: str) -> BatchPosition:
        """What a checkpoint keeps of the batches up to `step`, over data of that content."""
        return BatchPosition.of(self.plan, step, content)

    def follow(self, position: BatchPosition, content: str, where: str) -> None:
        """Go on as a run did that has come to `position`. ValueError, naming `where`, for that of another run."""
        self.plan = position.followed(self.plan, content, where)

    def resize(self, step: int, batch_size: int) -> None:
        """Batches of another size from `step` on; ValueError where that is none."""
        self._check_world(batch_size)
        self.plan = self.plan.resized(step, batch_size)

    def __call__(self, step: int) -> StepInputs:
        """The share of this process in `step`."""
        whole = self.plan.batch(step)
        keys = self.data.pairs.prompt[whole].unique()
        levels = step_levels(self._sampler, self._seed, step, len(keys) * self._together, self._stratified)
        if self._together > 1:
            levels = levels.view(len(keys), self._together)
        cut = [self._parts(share) for share in _split(whole, self.plan.shares(whole.numpy(), self._world))]
        nothing = whole[:0]
        micro = []
        for number in range(max(map(len, cut))):
            of_all = [parts[number] if number < len(parts) else nothing for parts in cut]
            into = None if self._buffers is None else self._buffers[step % 2].within(number)
            micro.append(self._micro_batch(step, of_all, keys, levels, into))
        return StepInputs(step, micro, float(self.data.pairs.judgements(whole, self._scores).weight.sum()))

    def _check_world(self, batch_size: int) -> None:
        if self.plan.unit == "pairs" and batch_size < self._world:
            raise DinaError(f"batch_size is {batch_size}, for {self._world} processes; accepted: at least a pair each")

    def _parts(self, share: Tensor) -> list[Tensor]:
        """The micro-batches of a process's share."""
        if self._tokens is not None and self._tokens.forward is not None:
            ends = whole_cuts(len(share), self._tokens.of_pair[share].numpy(), self._tokens.forward)
        else:
            ends = self.plan.shares(share.numpy(), self._accumulation)
        return [part for part in _split(share, ends) if len(part)]

    def _micro_batch(
        self, step: int, of_all: Sequence[Tensor], keys: Tensor, levels: Tensor, into: RowBuffers | None
    ) -> MicroBatch:
        indices = of_all[self._rank]
        batch = self.data.batch(indices, _missing(self.data.pairs, of_all, self._rank), self._scores, into)
        noise = [
            step_noise(tuple(part.latents.shape[1:]), self._seed, step, batch.prompts[part.groups].tolist())
            for part in batch.images
        ]
        names = [pair_name(self.data, row) for row in indices.tolist()]
        return MicroBatch(names, batch, levels[torch.searchsorted(keys, batch.prompts)], noise)


def _split(pairs: Tensor, ends: Indices) -> list[Tensor]:
    return list(pairs.tensor_split(ends[:-1].tolist()))


def _missing(pairs: PairTable, of_all: Sequence[Tensor], rank: int) -> Int64[Tensor, "beside 3"] | None:
    """An image of each size that a process has in its part and that of `rank` has not; None where there is none."""
    if len(of_all) == 1:
        return None
    looks = pairs.looks(torch.cat(list(of_all)))
    own = pairs.looks(of_all[rank])[:, 0]
    found = [looks[looks[:, 0] == bucket][:1] for bucket in looks[:, 0].unique() if bucket not in own]
    return torch.cat(found) if found else None


class Prefetcher:
    """Builds the next step's inputs in a thread while this one computes.

    `waited` is how many seconds the last call had to wait for what should have been there: not those of the first,
    which nothing could run ahead of.
    """

    waited: float = 0.0

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
        start = time.perf_counter()
        inputs = future.result()
        self.waited = time.perf_counter() - start if pending is not None else 0.0
        return inputs
