"""What the ways of a reward's gradient share: what they are given, what they answer, and the distance to the base."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.refl_loss import refl_loss
from dina_lrm.alignment.algorithms.refl_settings import ReflSettings
from dina_lrm.alignment.algorithms.through.pretraining import Pretraining
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.sampling.objective import Objective, ObjectiveScores
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Drawn:
    """A micro-batch: prompts, a seed of the noise of each, the step that was drawn, and the seed of latent rewards."""

    prompts: Sequence[str]
    seeds: Sequence[int]
    step: int
    reward_seed: int


@dataclass(frozen=True)
class Pulled:
    """The loss of a micro-batch whose gradient was left, and its rewards."""

    loss: float
    rewards: ObjectiveScores


class Way(ABC):
    """Leaves the gradient of a loss of rewards in the generator's LoRA."""

    def __init__(
        self,
        generator: Generator,
        objective: Objective,
        levels: Float[Tensor, " levels"],
        settings: ReflSettings,
        pretraining: Pretraining | None,
    ) -> None:
        self.generator, self.objective, self.levels = generator, objective, levels
        self.settings, self.pretraining = settings, pretraining

    @property
    @abstractmethod
    def steps(self) -> range:
        """The steps that one is drawn from for each micro-batch."""

    @abstractmethod
    def pull(self, drawn: Drawn, parts: int) -> Pulled:
        """Add the gradient of the loss of one of `parts` micro-batches. ValueError for a reward that is not finite."""

    def shaped(self, rewards: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
        """The loss of rewards, as it is set."""
        return refl_loss(rewards, self.settings.shaping, self.settings.margin, self.settings.scale)

    def distance(self, velocity: Latents, x: Latents, level: Tensor, conditioning: Conditioning) -> Float[Tensor, ""]:
        """Mean squared distance of a velocity to the base model's at the same state."""
        with torch.no_grad(), self.generator.reference():
            base = self.generator.velocity(x, level, conditioning)
        return (velocity - base).square().mean()

    def refuse_guidance(self, name: str) -> None:
        """ValueError where sampling is guided: every step with gradient would be two passes of another velocity."""
        if self.generator.guidance != 1.0:
            raise DinaError(
                f"refl.through: {name} with guidance {self.generator.guidance:g}; accepted: --generator.guidance 1, "
                "since it goes through the steps as they are sampled (one and prfl: through no step that is guided)"
            )


class GraphWay(Way):
    """A way whose loss is one graph."""

    @abstractmethod
    def loss(self, drawn: Drawn) -> tuple[Float[Tensor, ""], ObjectiveScores]:
        """The loss, with its graph, and the rewards in it."""

    def pull(self, drawn: Drawn, parts: int) -> Pulled:
        """Add the gradient of the loss, with the pretraining loss in it where it has a weight."""
        loss, found = self.loss(drawn)
        if self.pretraining is not None:
            loss = self.pretraining.mixed(loss, drawn.seeds)
        (loss / parts).backward()
        return Pulled(loss.item(), detached(found))


class OneVelocity(GraphWay):
    """A graph way through one velocity, whose state has no graph: x_T -> x_k without gradient, guided."""

    @abstractmethod
    def rewards(self, drawn: Drawn, x: Latents, velocity: Latents, conditioning: Conditioning) -> ObjectiveScores:
        """Rewards, with their graph, of what a velocity at the state x of step `drawn.step` leads to."""

    def loss(self, drawn: Drawn) -> tuple[Float[Tensor, ""], ObjectiveScores]:
        """The loss of the rewards at step `drawn.step`, and the distance to the base model there."""
        generator, level = self.generator, self.levels[drawn.step]
        conditioning = generator.encode_prompts(drawn.prompts)
        x = generator.denoise(generator.noise(drawn.seeds), conditioning, self.levels, steps=drawn.step)
        velocity = generator.velocity(x, level, conditioning)
        found = self.rewards(drawn, x, velocity, conditioning)
        loss = self.shaped(found.total)
        if self.settings.kl_weight:
            loss = loss + self.settings.kl_weight * self.distance(velocity, x, level, conditioning)
        return loss, found


def detached(found: ObjectiveScores) -> ObjectiveScores:
    """The scores without what they were computed from."""
    return ObjectiveScores(found.total.detach(), {name: values.detach() for name, values in found.parts.items()})
