r"""PRFL (HunyuanVideo's process reward feedback learning): the reward of a noisy state at its own noise level.

    x_T -> x_k    without gradient, guided
    x_k+1         the next state, with gradient and without guidance
    L             shaped -reward(x_k+1, t_k+1)

A reward that reads every level makes early steps trainable without an estimate of the clean picture. The published run
has the loss 0.1 relu(2 - r) (`shaping="relu", scale=0.1`) in turn with flow matching on data (`pretraining_weight`).
"""

from __future__ import annotations

from typing import final

from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.refl_settings import ReflSettings
from dina_lrm.alignment.algorithms.through.pretraining import Pretraining
from dina_lrm.alignment.algorithms.through.way import Drawn, OneVelocity
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.generators.kernels import Ode
from dina_lrm.sampling.objective import Objective, ObjectiveScores


@final
class NoisyState(OneVelocity):
    """One step with gradient, any but the last. Raises ValueError for any but one latent reward of weight above 0."""

    def __init__(
        self,
        generator: Generator,
        objective: Objective,
        levels: Float[Tensor, " levels"],
        settings: ReflSettings,
        pretraining: Pretraining | None,
    ) -> None:
        super().__init__(generator, objective, levels, settings, pretraining)
        self._reward = objective.state_reward("refl.through prfl")
        ((self._name, self._weight),) = objective.weights.items()

    @property
    def steps(self) -> range:
        """Those from `first` to `last` but the sampler's last, behind which nothing is noisy."""
        return range(self.settings.first, min(self.settings.last + 1, len(self.levels) - 2))

    def rewards(self, drawn: Drawn, x: Latents, velocity: Latents, conditioning: Conditioning) -> ObjectiveScores:
        """Those of the states behind the step, at their own noise level."""
        level, after = self.levels[drawn.step], self.levels[drawn.step + 1]
        behind = Ode().step(self.generator.process, x, velocity, level, after).mean
        scores = self._reward.noisy(behind, after.item(), drawn.prompts, conditioning)
        return ObjectiveScores(self._weight * scores, {self._name: scores})
