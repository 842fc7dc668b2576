"""Where a sampler of diffusers is, as its loop goes on: the state behind a step, and the noise level of that state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.generators.schedule import grid_end, levels_of_ratios
from dina_lrm.generators.schedulers import kind_of
from dina_lrm.typed import DinaError


def state_behind(
    scheduler: Any,  # noqa: ANN401 - diffusers' schedulers have no common type
    process: ForwardProcess,
    latents: Tensor,
    step: int,
    timestep: Tensor | float | int,
) -> tuple[Tensor, float]:
    """The state x_t = alpha x_0 + sigma eps of a sampler's latents behind the step from `timestep`, and its level.

    `step` counts the calls of the model from 0, as `callback_on_step_end` is told. It is more often called than it has
    steps by schedulers of second order (Heun, PNDM), whose states between two levels have levels too. The level behind
    the last step is 0 but for schedulers that end before.

    Raises:
        ValueError: for a scheduler of unknown states, and where it cannot be told which of several steps it was.
    """
    number = _number_of(scheduler, step, timestep)
    kind, last = kind_of(scheduler, process), number == len(scheduler.timesteps) - 1
    if kind == "flow":
        return latents, float(scheduler.sigmas[number + 1])
    if kind == "grid":
        if last:
            return latents, grid_end(scheduler, process, scheduler.timesteps[-1])
        return latents, float(process.noise_level_from_timestep(scheduler.timesteps[number + 1].float().cpu()))
    if kind == "solver":
        return latents, _level_of_ratio(process, scheduler.sigmas[number + 1])
    if last:
        ratio = scheduler.sigmas[-1].double()
        return latents / float((ratio.square() + 1).sqrt()), _level_of_ratio(process, ratio)
    # Its own scaling for the model's next call says how much noise there is, between two levels as well
    following = scheduler.timesteps[number + 1]
    alpha = scheduler.scale_model_input(torch.ones(1, dtype=torch.float64), following)
    return scheduler.scale_model_input(latents, following), _level_of_ratio(process, (1 / alpha.square() - 1).sqrt())


def _level_of_ratio(process: ForwardProcess, ratio: Tensor) -> float:
    return float(levels_of_ratios(process, ratio.reshape(1).float()))


def _number_of(scheduler: Any, step: int, timestep: Tensor | float | int) -> int:  # noqa: ANN401
    """The place of a step in `timesteps`: by the scheduler's own count, the callback's, or the only one from there."""
    known = vars(scheduler)
    found = (scheduler.timesteps == timestep).nonzero().flatten().tolist()
    # A scheduler's count is one ahead behind the step; with timesteps that repeat it need not have begun at 0
    for number in ((known.get("_step_index") or 0) - 1, (known.get("_begin_index") or 0) + step):
        if number in found:
            return int(number)
    if len(found) != 1:
        raise DinaError(
            f"{type(scheduler).__name__}: visits timestep {float(timestep):g} {len(found)} times, never as call {step}"
            "; accepted: the callbacks of one call of a pipeline, in their order"
        )
    return int(found[0])
