r"""ReFL's way: the gradient of the reward of the clean estimate behind one step.

x_T -> x_k    without gradient, guided
x_0           the clean prediction at x_k, with gradient and without guidance
"""

from __future__ import annotations

from typing import final

from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.through.way import Drawn, GraphWay
from dina_lrm.sampling.objective import ObjectiveScores


@final
class OneStep(GraphWay):
    """One step with gradient, from `first` to `last`."""

    @property
    def steps(self) -> range:
        """Those from `first` to `last`."""
        return range(self.settings.first, self.settings.last + 1)

    def loss(self, drawn: Drawn) -> tuple[Float[Tensor, ""], ObjectiveScores]:
        """The loss of the clean estimates at step `drawn.step`, and the distance to the base model there."""
        generator = self.generator
        conditioning = generator.encode_prompts(drawn.prompts)
        x = generator.denoise(generator.noise(drawn.seeds), conditioning, self.levels, steps=drawn.step)
        level = self.levels[drawn.step]
        velocity = generator.velocity(x, level, conditioning)
        clean = generator.process.clean_from_velocity(x, velocity, level)
        found = self.objective(clean, drawn.prompts, drawn.reward_seed, conditioning)
        loss = self.shaped(found.total)
        if self.settings.kl_weight:
            loss = loss + self.settings.kl_weight * self.distance(velocity, x, level, conditioning)
        return loss, found
