"""Where a run is in its data: what a checkpoint keeps, so that its step means the same place when it is read back.

A batch is a function of (seed, step) and of what the step is a step of: the size of batches, the data, and whether the
pairs of a prompt stay together. Any number of processes may go on from a position; other batches or other data may not,
unless the size is changed on purpose, from that step on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dina_lrm.data.batches import BatchPlan
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class BatchPosition:
    """The next step of a run, and all that decides which pairs it reads.

    `sizes` says from which step on batches hold at most so many pairs, or tokens (`unit`). `content` is the hash of the
    data and `pairs` their number. `pairs_seen` counts those of `epoch` that were read; `starts` are the first steps of
    all epochs up to it, so that none of them is counted again.
    """

    step: int
    seed: int
    unit: Literal["pairs", "tokens"]
    sizes: tuple[tuple[int, int], ...]
    by_prompt: bool
    pairs: int
    content: str
    epoch: int
    pairs_seen: int
    starts: tuple[int, ...]

    @classmethod
    def of(cls, plan: BatchPlan, step: int, content: str) -> BatchPosition:
        """The position before `step` of a plan over data of that content."""
        return cls(
            step,
            plan.seed,
            plan.unit,
            plan.sizes,
            plan.by_prompt,
            plan.pairs,
            content,
            plan.epoch_of(step)[0],
            plan.pairs_seen(step),
            plan.starts(step),
        )

    def followed(self, plan: BatchPlan, content: str, where: str) -> BatchPlan:
        """`plan` as the run went on from it: with the sizes that batches had since, and the epochs already counted.

        Raises:
            ValueError: naming `where`, the plan or its data are others than those of this position; both are said.
        """
        self._check(plan, content, where)
        ends = [begin for begin, _ in self.sizes[1:]] + [self.step]
        for number, ((begin, size), end) in enumerate(zip(self.sizes, ends, strict=True)):
            plan = plan.resized(begin, size) if number else plan
            plan.know([start for start in self.starts if start <= end])
        found = (plan.epoch_of(self.step)[0], plan.pairs_seen(self.step))
        if found != (self.epoch, self.pairs_seen):
            raise DinaError(
                f"{where}: at step {self.step} it had read {self.pairs_seen} pairs of epoch {self.epoch}; of the data "
                f"given, that would be {found[1]} of epoch {found[0]}: their order is another. Accepted: the same data"
            )
        return plan

    def _check(self, plan: BatchPlan, content: str, where: str) -> None:
        (_, first), (begin, last) = self.sizes[0], self.sizes[-1]
        since = f", of {last} from step {begin} on" if begin else ""
        held = f"batches of {first} {self.unit}{since}"
        if (plan.unit, plan.batch_size) != (self.unit, first):
            raise DinaError(
                f"{where}: stopped at step {self.step} with {held}; given: batches of {plan.batch_size} {plan.unit}, "
                f"of which step {self.step} is another place. Resume with the stored size; --resume-batch N cuts what "
                "is left of the epoch into others"
            )
        stored = (self.content, self.pairs, self.seed, self.by_prompt)
        given = (content, plan.pairs, plan.seed, plan.by_prompt)
        if stored != given:
            names = ("content", "pairs", "seed", "pairs of a prompt together")
            both = [f"{n} {s!r} (given: {g!r})" for n, s, g in zip(names, stored, given, strict=True) if s != g]
            raise DinaError(f"{where}: stopped on data of {', '.join(both)}; accepted: the same data and seed")
