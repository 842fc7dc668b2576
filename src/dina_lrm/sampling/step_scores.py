"""Scores of candidates that are still being made, by any reading of `StepReading`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.sampling.in_pass import InPass
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.pruning import StepReading
from dina_lrm.typed import DinaError

Scores = Float[Tensor, " batch"]


@final
class StepScorer:
    """Scores states of a trajectory, comparable among candidates of one prompt at one step.

    Raises:
        ValueError: for `noisy` and `in-pass` with anything but one latent reward, and where `InPass` refuses it.
    """

    def __init__(self, generator: Generator, objective: Objective, reading: StepReading) -> None:
        self._generator, self._objective = generator, objective
        self._in_pass = InPass(generator, objective.latent_model(reading).model) if reading == "in-pass" else None
        if reading == "noisy":
            objective.state_reward(reading)

    def noisy(self, x: Latents, level: Tensor, prompts: Sequence[str], conditioning: Conditioning) -> Scores:
        """Score the states at their own noise level."""
        bound = self._objective.state_reward("noisy")
        return finite("noisy", prompts, bound.noisy(x, level.item(), prompts, conditioning))

    def clean(
        self,
        x: Latents,
        velocity: Latents,
        level: Tensor,
        prompts: Sequence[str],
        conditioning: Conditioning,
        seed: int = 0,
    ) -> Scores:
        """Score the clean latents that the velocity points at, with the noise of a seed."""
        clean = self._generator.process.clean_from_velocity(x, velocity, level)
        return self._objective(clean, prompts, seed, conditioning).total

    def preferred(self, margin: Tensor, level: Tensor, reading: StepReading) -> Tensor:
        """P(first preferred) from the margin of two scores, by the likelihood of the one latent reward."""
        bound = self._objective.state_reward(reading)
        return bound.preferred(margin, None if reading == "clean" else level.item())

    def in_pass(
        self, x: Latents, level: Tensor, prompts: Sequence[str], conditioning: Conditioning
    ) -> tuple[Latents, Scores]:
        """Velocity and score of the states, in one pass."""
        assert self._in_pass is not None
        velocity, raw = self._in_pass(x, level, conditioning, self._generator.guidance)
        model = self._objective.latent_model("in-pass").model
        return velocity, finite("in-pass", prompts, model.normalize(raw))


def finite(where: str, prompts: Sequence[str], scores: Scores) -> Scores:
    """The scores as they are; ValueError for one that is not finite."""
    if not bool(scores.isfinite().all()):
        bad = int((~scores.isfinite()).nonzero()[0])
        raise DinaError(f"{where} scores: {scores[bad].item()} for {prompts[bad]!r}")
    return scores
