"""What an objective of the forward process is to the loop around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.forward.optimality import Judged, judged
from dina_lrm.alignment.algorithms.forward.passes import Errors, Matched, Noised, errors_of
from dina_lrm.alignment.algorithms.forward.settings import ForwardConfig
from dina_lrm.alignment.algorithms.win_rate import Preferred
from dina_lrm.generators.generator import Latents
from dina_lrm.sampling.objective import ObjectiveScores

Config = TypeVar("Config", bound=ForwardConfig)


@dataclass(frozen=True)
class ObjectiveLoss:
    """`loss` of each sample, with its gradient, and numbers of each sample that are logged by name."""

    loss: Float[Tensor, " samples"]
    logs: Mapping[str, Float[Tensor, " samples"]] = field(default_factory=dict)


class ForwardObjective(ABC, Generic[Config]):
    """A loss of noised samples, by their advantages. It holds no state."""

    one_noise_a_group: ClassVar[bool] = False
    """Whether all images of a prompt are noised by one draw, at one level."""
    compares_groups: ClassVar[bool] = False
    """Whether the loss of a sample needs the errors of its whole group at its level: `of_group`."""
    needs_reference: ClassVar[bool] = False
    """Whether the loss needs the base model's velocity, whatever the weight of the KL."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def judged(
        self,
        scores: ObjectiveScores,
        weights: Mapping[str, float],
        prompt_ids: Int64[Tensor, " samples"],
        likelihoods: Mapping[str, Preferred],
    ) -> Judged:
        """Advantages of a rollout; `likelihoods` are there where rewards are compared by win rates."""
        return judged(scores, weights, prompt_ids, self.config.forward, likelihoods)

    @abstractmethod
    def loss(self, matched: Matched) -> ObjectiveLoss:
        """The loss of a micro-batch at one level."""

    def of_group(
        self, errors: Errors, advantage: Float[Tensor, " samples"], prompt_ids: Int64[Tensor, " samples"]
    ) -> Float[Tensor, " samples"]:
        """What `loss` is given for each sample of complete groups; asked only where `compares_groups`."""
        raise NotImplementedError(f"{type(self).__name__} compares no groups")

    def errors(self, velocity: Latents, noised: Noised, share: Float[Tensor, " samples"]) -> Errors:
        """The errors that `of_group` compares, of the policy's `velocity` and of the others; squared ones by default.

        `share` is the noise's share of each state.
        """
        return errors_of(velocity, noised)

    def optimality(self, advantage: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
        """How good samples of these advantages are, in [0, 1]."""
        return ((advantage + 1) / 2).clamp(0, 1)

    def faults(self) -> tuple[str, ...]:
        """What is doubtful in the settings, in sentences; they are warned of before anything is drawn."""
        return ()
