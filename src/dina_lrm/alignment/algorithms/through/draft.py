r"""DRaFT-K (arXiv 2309.17400): the gradient of the reward of the finished sample through the sampler's last K steps.

    x_T -> x_(S-K)   without gradient
    x_(S-K) -> x_0   with its whole graph: memory of K steps

K = 1 is ReFL at the last step. The distance to the base model is the mean over the K steps, each at the state as it was
visited: of the first it is part of the graph, of the others one more pass with gradient.
"""

from __future__ import annotations

from typing import final

from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.refl_settings import ReflSettings
from dina_lrm.alignment.algorithms.through.pretraining import Pretraining
from dina_lrm.alignment.algorithms.through.way import Drawn, GraphWay
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.generators.kernels import Ode
from dina_lrm.sampling.objective import Objective, ObjectiveScores
from dina_lrm.typed import require


def draft(
    generator: Generator,
    noise: Latents,
    conditioning: Conditioning,
    levels: Float[Tensor, " levels"],
    last: int,
    visited: list[tuple[Latents, Latents]] | None = None,
) -> Latents:
    """The sampler's end, with the graph of its `last` steps; guidance is 1.

    `visited` receives the state of each of these steps, without its graph, and the velocity there with it. Raises
    ValueError unless 1 <= last <= steps.
    """
    steps = len(levels) - 1
    require(1 <= last <= steps, "draft: last", last, f"1 to {steps} steps")
    # From the start on, `denoise` has scaled the noise as the scheduler does
    x = generator.denoise(noise, conditioning, levels, steps=steps - last)
    for k in range(steps - last, steps):
        velocity = generator.velocity(x, levels[k], conditioning)
        if visited is not None:
            visited.append((x.detach(), velocity))
        x = Ode().step(generator.process, x, velocity, levels[k], levels[k + 1]).mean
    return x


@final
class LastSteps(GraphWay):
    """The last `through_steps` steps with their graph. Raises ValueError for a guided generator."""

    def __init__(
        self,
        generator: Generator,
        objective: Objective,
        levels: Float[Tensor, " levels"],
        settings: ReflSettings,
        pretraining: Pretraining | None,
    ) -> None:
        super().__init__(generator, objective, levels, settings, pretraining)
        self.refuse_guidance("draft")
        self._first = len(levels) - 1 - settings.through_steps

    @property
    def steps(self) -> range:
        """The first step with gradient."""
        return range(self._first, self._first + 1)

    def loss(self, drawn: Drawn) -> tuple[Float[Tensor, ""], ObjectiveScores]:
        """The loss of the finished samples, and the distance to the base model at the first step with gradient."""
        generator, count = self.generator, self.settings.through_steps
        conditioning = generator.encode_prompts(drawn.prompts)
        visited: list[tuple[Latents, Latents]] = []
        clean = draft(generator, generator.noise(drawn.seeds), conditioning, self.levels, count, visited)
        found = self.objective(clean, drawn.prompts, drawn.reward_seed, conditioning)
        loss = self.shaped(found.total)
        if self.settings.kl_weight:
            for number, (x, velocity) in enumerate(visited):
                level = self.levels[self._first + number]
                # Where the state has a graph, the pull to the base would go on through it to the states before
                own = velocity if number == 0 else generator.velocity(x, level, conditioning)
                loss = loss + self.settings.kl_weight / count * self.distance(own, x, level, conditioning)
        return loss, found
