"""What sampling with a reward spends: evaluations of networks, counted as they happen, and their FLOPs.

Every count is of single images. A step of classifier-free guidance is two evaluations of the generator; a score on
pixels is an evaluation of the decoder and one of the reward. Text encoders are left out: they run once a prompt,
whatever the method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from dina_lrm.generators.generator import Generator
from dina_lrm.sampling.in_pass import InPass
from dina_lrm.sampling.objective import Objective
from dina_lrm.typed import DinaError

Kind = Literal["generator", "reward", "reward_gradient", "head", "decoder"]


@dataclass(frozen=True)
class Evaluations:
    """How often each network was evaluated on one image."""

    generator: int = 0
    reward: int = 0
    """A whole score of clean or of noisy latents; an ensemble of noise levels counts once."""
    reward_gradient: int = 0
    """A score with its gradient with respect to the latents; with a reward of pixels through the decoder."""
    head: int = 0
    """Only the reward's head, on features of the generator's own pass."""
    decoder: int = 0

    def __add__(self, other: Evaluations) -> Evaluations:
        return Evaluations(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    @staticmethod
    def sum(parts: Iterable[Evaluations]) -> Evaluations:
        """All of them together."""
        return sum(parts, Evaluations())


class Ledger:
    """Counts evaluations of several images, each in a row of its own."""

    def __init__(self, rows: int) -> None:
        self._counts = [Evaluations()] * rows

    def add(self, kind: Kind, rows: Iterable[int], times: int = 1) -> None:
        """`times` evaluations of each of `rows`."""
        for row in rows:
            self._counts[row] += Evaluations(**{kind: times})

    def of(self, row: int) -> Evaluations:
        """What was spent on a row."""
        return self._counts[row]


@dataclass(frozen=True)
class UnitFlops:
    """FLOPs of one evaluation of one image: matrix products, convolutions and attention, as torch counts them."""

    generator: int
    reward: int
    reward_gradient: int | None
    """None where the reward has no gradient."""
    head: int | None
    """None where the reward cannot be read in the generator's pass."""
    decoder: int

    def total(self, spent: Evaluations) -> int:
        """FLOPs of what was spent. ValueError for evaluations of a kind that was not measured."""
        units, counts = asdict(self), asdict(spent)
        unknown = [name for name, count in counts.items() if count and units[name] is None]
        if unknown:
            raise DinaError(f"FLOPs: {', '.join(unknown)} was evaluated, and has no count for this reward")
        return sum(count * (units[name] or 0) for name, count in counts.items())


def unit_flops(
    generator: Generator, objective: Objective, steps: int, prompt: str, guides: Objective | None = None
) -> UnitFlops:
    """Count one evaluation of each kind, in the middle of a schedule of `steps` steps; the gradient is that of
    `guides` where there are others than the objective.
    """
    conditioning, x = generator.encode_prompts([prompt]), generator.noise([0])
    levels = generator.levels(steps)
    level = levels[len(levels) // 2]

    def with_gradient() -> None:
        leaf = x.clone().requires_grad_()
        (guides or objective)(leaf, [prompt], conditioning=conditioning).total.sum().backward()

    with torch.no_grad():
        velocity = _count(lambda: generator.velocity(x, level, conditioning))
        decoder = _count(lambda: generator.images(x))
        score = _count(lambda: objective(x, [prompt], conditioning=conditioning))
        reader = in_pass_of(generator, objective)
        head = None if reader is None else _count(lambda: reader(x, level, conditioning)) - velocity
    decoded = objective.decodings * decoder
    differentiable = all(reward.differentiable for reward in (guides or objective).rewards)
    with torch.enable_grad():
        gradient = _count(with_gradient) if differentiable else None
    return UnitFlops(velocity, score - decoded, gradient, head, decoder)


def in_pass_of(generator: Generator, objective: Objective) -> InPass | None:
    """The reward as it is read in the generator's pass, or None where it cannot be."""
    try:
        return InPass(generator, objective.latent_model("in-pass").model)
    except ValueError:
        return None


def _count(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())
