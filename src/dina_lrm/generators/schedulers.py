"""The schedulers of diffusers that are followed, by the way they keep a state and tell its noise level.

| kind   | the state that a scheduler keeps | its noise level is read from |
|---|---|---|
| grid   | alpha x_0 + sigma eps, at timesteps of the model's own schedule of betas | `timesteps` |
| solver | alpha x_0 + sigma eps, at levels between those timesteps too | `sigmas` = sigma / alpha |
| scaled | x_0 + s eps, divided by sqrt(s^2 + 1) before the model reads it | `sigmas` = s |
| flow   | (1 - t) x_0 + t eps | `sigmas` = t |

Samples are drawn along the ODE, one step of first order from each of a scheduler's noise levels to the next. Solvers of
higher order and samplers that draw noise visit the same levels and end in the same distribution by other steps.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from torch import Tensor

from dina_lrm.diffusion.process import ForwardProcess, RectifiedFlow
from dina_lrm.typed import DinaError

Kind = Literal["grid", "solver", "scaled", "flow"]

_KINDS: Final[dict[str, Kind]] = {
    "DDIMScheduler": "grid",
    "DDIMParallelScheduler": "grid",
    "DDPMScheduler": "grid",
    "DDPMParallelScheduler": "grid",
    "PNDMScheduler": "grid",
    "DEISMultistepScheduler": "solver",
    "DPMSolverMultistepScheduler": "solver",
    "DPMSolverSinglestepScheduler": "solver",
    "SASolverScheduler": "solver",
    "UniPCMultistepScheduler": "solver",
    "DPMSolverSDEScheduler": "scaled",
    "EulerAncestralDiscreteScheduler": "scaled",
    "EulerDiscreteScheduler": "scaled",
    "HeunDiscreteScheduler": "scaled",
    "KDPM2AncestralDiscreteScheduler": "scaled",
    "KDPM2DiscreteScheduler": "scaled",
    "LMSDiscreteScheduler": "scaled",
    "FlowMatchEulerDiscreteScheduler": "flow",
    "FlowMatchHeunDiscreteScheduler": "flow",
}
_WATCHED_ONLY: Final[dict[str, Kind]] = {"LCMScheduler": "grid", "FlowMatchLCMScheduler": "flow"}
"""Samplers of models that jump to the clean latents: their states have a level, and no step of an ODE leads on."""


def is_a(scheduler: Any, *names: str) -> bool:  # noqa: ANN401 - they have no common type
    """Whether a scheduler is of one of these classes, or of one that derives from it."""
    return any(parent.__name__ in names for parent in type(scheduler).__mro__)


def kind_of(scheduler: Any, process: ForwardProcess) -> Kind:  # noqa: ANN401
    """How a scheduler keeps its state; ValueError for a class whose states are not known."""
    known = _KINDS | _WATCHED_ONLY
    found = next((known[parent.__name__] for parent in type(scheduler).__mro__ if parent.__name__ in known), None)
    if found is None:
        raise DinaError(f"scheduler: got a {type(scheduler).__name__}; accepted: {', '.join(sorted(known))}")
    return "flow" if isinstance(process, RectifiedFlow) else found


def starting_scale(scheduler: Any, process: ForwardProcess, level: Tensor) -> float:  # noqa: ANN401
    """What standard normal noise is multiplied with to be a scheduler's first state, at its first noise level.

    1, but for those that keep x_0 + s eps and start from s eps: the model reads that as sigma eps. With "leading"
    timesteps they start as all others do.
    """
    without_signal = scheduler.config.get("timestep_spacing") in ("linspace", "trailing")
    return float(process.sigma(level)) if kind_of(scheduler, process) == "scaled" and without_signal else 1.0


def check_sampled(scheduler: Any) -> None:  # noqa: ANN401
    """ValueError for a scheduler whose levels no ODE follows."""
    name = type(scheduler).__name__
    if not is_a(scheduler, *_KINDS):
        why = ", whose model jumps to clean latents and is no prediction along the way" if name in _WATCHED_ONLY else ""
        raise DinaError(f"scheduler: got a {name}{why}; accepted: {', '.join(sorted(_KINDS))}")


def check_unclipped(scheduler: Any) -> None:  # noqa: ANN401
    """ValueError for a scheduler that clips its estimates of the clean latents."""
    for setting in ("clip_sample", "thresholding"):
        if scheduler.config.get(setting):
            raise DinaError(
                f"scheduler: {type(scheduler).__name__} has {setting}=True, which clips clean latents, as if they were "
                f"pixels; accepted: {setting}=False"
            )
