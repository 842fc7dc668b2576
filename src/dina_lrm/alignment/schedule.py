"""The noise levels that a pipeline's own scheduler visits, in the library's convention."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from jaxtyping import Float
from torch import Tensor

from dina_lrm.diffusion.process import ForwardProcess, RectifiedFlow


def sampling_levels(
    scheduler: Any,  # noqa: ANN401 - diffusers' schedulers have no common type
    process: ForwardProcess,
    steps: int,
    tokens: int,
    even: bool = False,
) -> Float[Tensor, " levels"]:
    """`steps` + 1 noise levels, falling, each once; `tokens` is the length of the image's sequence.

    The last is 0, but for schedulers that end at timestep 0 (`set_alpha_to_one` off, as Stable Diffusion's): its level.

    `even`: from 1 to 1 / steps in even intervals before the scheduler shifts them, as some pipelines ask it to.

    A copy of the scheduler is asked, so that the pipeline's own keeps its state. Schedules that are shifted by the size
    of the picture (FLUX, Qwen-Image) get the shift of that size. ValueError for fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"sampling steps: got {steps}, accepted is at least 1")
    copy = type(scheduler).from_config(scheduler.config)
    if isinstance(process, RectifiedFlow):
        shifted = bool(copy.config.get("use_dynamic_shifting", False))
        given: dict[str, Any] = {"mu": calculate_shift(tokens, **_shift_range(copy.config))} if shifted else {}
        if even and not copy.config.get("use_flow_sigmas", False):
            given["sigmas"] = np.linspace(1.0, 1 / steps, steps)
        copy.set_timesteps(steps, **given)
        levels = copy.sigmas.float().cpu()
        return torch.cat([_once_a_step(levels[:-1], steps), levels[-1:]])
    copy.set_timesteps(steps)
    levels = _once_a_step(process.noise_level_from_timestep(copy.timesteps.float().cpu()), steps)
    return torch.cat([levels, torch.tensor([_last_level(copy, process, float(levels[-1]))])])


def _once_a_step(levels: Float[Tensor, " visited"], steps: int) -> Float[Tensor, " steps"]:
    """Without what schedulers of second order visit besides: a level twice (PNDM, Heun), or one between two (KDPM2)."""
    levels = torch.unique_consecutive(levels)
    if len(levels) <= steps:
        return levels
    return levels[torch.linspace(0, len(levels) - 1, steps).round().long()]


def _last_level(scheduler: Any, process: ForwardProcess, before: float) -> float:  # noqa: ANN401
    """The level behind the last step, which starts at `before`; of a variance-preserving process."""
    end = float(process.noise_level_from_timestep(0)) if scheduler.config.get("set_alpha_to_one") is False else 0.0
    # A schedule whose last step starts there has none left but to the clean latent
    return end if end < before else 0.0


def _shift_range(config: Any) -> dict[str, float]:  # noqa: ANN401
    names = {"base_seq_len": "base_image_seq_len", "max_seq_len": "max_image_seq_len"}
    return {
        **{argument: config[stored] for argument, stored in names.items()},
        **{name: config[name] for name in ("base_shift", "max_shift")},
    }


def next_level(
    scheduler: Any,  # noqa: ANN401
    process: ForwardProcess,
    timestep: Tensor | float | int,
) -> float:
    """The noise level of the state behind the step from `timestep`, of a scheduler whose timesteps are set.

    That behind the last step is clean, 0, but for schedulers that end at timestep 0. Raises ValueError for a timestep
    that the scheduler visits never or twice, as those of second order do.
    """
    number = _number_of(scheduler, timestep)
    if isinstance(process, RectifiedFlow):
        return float(scheduler.sigmas[number + 1])
    if number == len(scheduler.timesteps) - 1:
        return _last_level(scheduler, process, float(process.noise_level_from_timestep(float(timestep))))
    return float(process.noise_level_from_timestep(scheduler.timesteps[number + 1].float().cpu()))


def model_state(
    scheduler: Any,  # noqa: ANN401
    process: ForwardProcess,
    latents: Tensor,
    timestep: Tensor | float | int,
) -> Tensor:
    """The state x_t = alpha x_0 + sigma eps of a sampler's latents behind the step from `timestep`.

    They differ for samplers that keep x_0 + s eps (Euler, LMS), whose own scaling for the model undoes it.
    """
    number = _number_of(scheduler, timestep)
    if number == len(scheduler.timesteps) - 1 or isinstance(process, RectifiedFlow):
        return latents
    state: Tensor = scheduler.scale_model_input(latents, scheduler.timesteps[number + 1])
    return state


def _number_of(scheduler: Any, timestep: Tensor | float | int) -> int:  # noqa: ANN401
    found = (scheduler.timesteps == timestep).nonzero().flatten().tolist()
    if len(found) != 1:
        raise ValueError(
            f"{type(scheduler).__name__}: visits timestep {float(timestep):g} {len(found)} times; accepted: schedulers "
            "of first order, which visit each once"
        )
    return int(found[0])
