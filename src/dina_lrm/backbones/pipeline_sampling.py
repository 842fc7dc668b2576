"""What a family's own pipeline does its own way when it samples: noise levels and guidance."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

Guide = Callable[[Tensor, Tensor, float], Tensor]
"""The guided velocity, of the velocities without and with the prompt and a scale above 1."""


def classifier_free(
    without: Float[Tensor, "batch channels h w"], given: Float[Tensor, "batch channels h w"], guidance: float
) -> Float[Tensor, "batch channels h w"]:
    """Classifier-free guidance (Ho and Salimans, 2022)."""
    return without + guidance * (given - without)


@dataclass(frozen=True)
class PipelineSampling:
    """The habits of a pipeline; the defaults are those of most."""

    even_sigmas: bool = False
    """Whether it asks the scheduler for levels from 1 to 1 / steps in even intervals."""
    even_for_solvers: bool = True
    """Whether it asks so of solvers that make flow levels themselves (`use_flow_sigmas`)."""
    largest_shift: float | None = 1.15
    """Its default for schedules that are shifted by the size of the picture; None where it shifts none."""
    packs: bool = False
    """Whether its latents are tokens of 2 x 2 while it samples."""
    guide: Guide = classifier_free
    """How it guides, for scales above 1."""
