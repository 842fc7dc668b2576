r"""ReFL's way: the gradient of the reward of the clean estimate behind one step.

x_T -> x_k    without gradient, guided
x_0           the clean prediction at x_k, with gradient and without guidance
"""

from __future__ import annotations

from typing import final

from dina_lrm.alignment.algorithms.through.way import Drawn, OneVelocity
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Latents
from dina_lrm.sampling.objective import ObjectiveScores


@final
class OneStep(OneVelocity):
    """One step with gradient, from `first` to `last`."""

    @property
    def steps(self) -> range:
        """Those from `first` to `last`."""
        return range(self.settings.first, self.settings.last + 1)

    def rewards(self, drawn: Drawn, x: Latents, velocity: Latents, conditioning: Conditioning) -> ObjectiveScores:
        """Those of the clean estimates."""
        clean = self.generator.process.clean_from_velocity(x, velocity, self.levels[drawn.step])
        return self.objective(clean, drawn.prompts, drawn.reward_seed, conditioning)
