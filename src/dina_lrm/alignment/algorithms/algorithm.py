"""What an alignment algorithm is to the run around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.rewards.base import Reward
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective, ObjectiveScores
from dina_lrm.typed import DinaError

Config = TypeVar("Config", bound=AlignConfig)
Learn = Callable[[], float]
"""Moves the LoRA along the gradient that was accumulated, clipped, clears it, and returns its norm."""


@dataclass(frozen=True)
class Outcome:
    """What one update did: means over its images."""

    loss: float
    reward: float
    parts: dict[str, float]
    """Mean of each reward by itself, by its name."""
    gradient_norm: float
    details: dict[str, float] = field(default_factory=dict)
    """Numbers that the algorithm alone has."""


class Algorithm(ABC, Generic[Config]):
    """Turns prompts and rewards into gradients in the generator's LoRA.

    Everything that is drawn is a function of (seed, step): a run that was killed goes on as if it had not been.
    """

    differentiable: ClassVar[bool]
    """Whether rewards need a gradient."""

    def __init__(
        self, config: Config, generator: Generator, objective: Objective, prompts: Sequence[str], processes: Processes
    ) -> None:
        if not prompts:
            raise DinaError("prompts: got none; accepted: at least one")
        self.config, self.generator, self.objective = config, generator, objective
        self.prompts, self.processes = tuple(prompts), processes
        self.levels = generator.levels(config.generator.sampling_steps)
        self.witnesses: tuple[Reward, ...] = ()
        """Rewards beside the objective that take part in what is learned: the golden one shares nothing with them."""
        # An update that cannot be shared out is refused now, not after the first look
        self.own_parts()

    @abstractmethod
    def update(self, step: int, learn: Learn) -> Outcome:
        """Update `step` (from 0), which calls `learn` once or more. ValueError for a reward that is not finite."""

    def state(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Tensors that updates change and that are no part of the LoRA, in groups by name, each by its own name.

        A checkpoint holds them beside what learns; a run that goes on gets them written in place. None by default.
        """
        return {}

    def watch(self) -> Mapping[str, float]:
        """Numbers that a look records beside those of its pictures, of the weights as they are. None by default."""
        return {}

    def measured(self) -> dict[str, tuple[float, float]]:
        """Pairs of numbers by name that are found once, of the generator before it learned. None by default.

        A run keeps them, and tells them to `know` each time it begins or goes on.
        """
        return {}

    def know(self, measured: Mapping[str, tuple[float, float]]) -> None:
        """Take what `measured` gave when the run began; nothing by default."""
        return

    def drawn_prompts(self, rng: np.random.Generator, count: int) -> list[str]:
        """Prompts for an update, different ones while there are enough."""
        chosen = rng.choice(len(self.prompts), count, replace=count > len(self.prompts))
        return [self.prompts[index] for index in chosen]

    def base_samples(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Iterator[tuple[Sequence[str], Conditioning, Latents]]:
        """Clean latents of the generator before it learned, a micro-batch at a time, with prompts and conditioning."""
        size = self.config.micro_batch
        for start in range(0, len(prompts), size):
            some = prompts[start : start + size]
            with self.generator.reference():
                conditioning = self.generator.encode_prompts(some)
                noise = self.generator.noise(seeds[start : start + size])
                latents = self.generator.denoise(noise, conditioning, self.levels)
            yield some, conditioning, latents

    def own_parts(self) -> list[slice]:
        """The micro-batches of an update that are this process's."""
        size = self.config.micro_batch
        starts = range(0, self.config.batch_size, size)
        if len(starts) % self.processes.count:
            raise DinaError(
                f"{len(starts)} micro-batches an update for {self.processes.count} processes; accepted: multiples"
            )
        mine = list(starts)[self.processes.index :: self.processes.count]
        return [slice(start, start + size) for start in mine]


def in_batch_order(own: Sequence[Float[Tensor, "part ..."]], processes: Processes) -> Float[Tensor, "all ..."]:
    """Values of this process's micro-batches, of equal size, with those of all processes, in the order of the batch."""
    gathered = processes.gathered(torch.cat(list(own)))
    # Process p holds micro-batches p, p + count, ...
    return gathered.unflatten(0, (processes.count, -1, len(own[0]))).transpose(0, 1).flatten(0, 2)


def scores_of_all(own: Sequence[ObjectiveScores], processes: Processes) -> ObjectiveScores:
    """Scores of this process's micro-batches, with those of all processes, in the order of the batch."""
    parts = {name: in_batch_order([each.parts[name] for each in own], processes) for name in own[0].parts}
    return ObjectiveScores(in_batch_order([each.total for each in own], processes), parts)


def means(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """The mean of each name over micro-batches of equal size."""
    return {name: float(np.mean([row[name].mean().item() for row in rows])) for name in rows[0]}
