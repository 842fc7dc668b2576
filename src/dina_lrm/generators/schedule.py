"""The noise levels that a pipeline's own scheduler visits, in the library's convention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from jaxtyping import Float
from torch import Tensor

from dina_lrm.diffusion.process import ForwardProcess, RectifiedFlow
from dina_lrm.generators.schedulers import check_sampled, is_a, kind_of
from dina_lrm.typed import DinaError

_ONE_TIMESTEP = 1.01
"""Schedulers round the timestep that they tell a model, some of them down."""


def sampling_levels(
    scheduler: Any,  # noqa: ANN401 - diffusers' schedulers have no common type
    process: ForwardProcess,
    steps: int,
    tokens: int,
    even: bool = False,
    even_for_solvers: bool = False,
    largest_shift: float | None = 1.15,
) -> Float[Tensor, " levels"]:
    """`steps` + 1 noise levels, falling, each once; `tokens` is the length of the image's sequence.

    They are those between which the scheduler takes its state, whatever timestep it rounds them to. The last is 0 but
    for schedulers that end before (`set_alpha_to_one` off, as Stable Diffusion's, or `final_sigmas_type="sigma_min"`).
    Where that would be a last step from the first timestep to itself, it goes on to 0.

    `even`: from 1 to 1 / steps in even intervals before the scheduler shifts them, as some pipelines ask it to;
    `even_for_solvers`: also of solvers that make flow levels themselves (`use_flow_sigmas`). `largest_shift` is the
    pipeline's own default for schedules that are shifted by the size of the picture, None where it has none.

    A copy of the scheduler is asked, so that the pipeline's own keeps its state.

    Raises:
        ValueError: for fewer than one step, a scheduler that cannot be followed, and steps that it cannot divide into.
    """
    if steps < 1:
        raise DinaError(f"sampling steps: got {steps}; accepted: at least 1")
    check_sampled(scheduler)
    # Runge-Kutta steps of PNDM lie on the same grid as its others
    copy = type(scheduler).from_config(scheduler.config, skip_prk_steps=True)
    solver = bool(copy.config.get("use_flow_sigmas", False))
    given: dict[str, Any] = (
        {} if not even or (solver and not even_for_solvers) else {"sigmas": np.linspace(1.0, 1 / steps, steps)}
    )
    if copy.config.get("use_dynamic_shifting", False) and largest_shift is not None:
        given["mu"] = _shift(copy.config, tokens, largest_shift)
    name = type(scheduler).__name__
    try:
        copy.set_timesteps(steps, **given)
    except (ArithmeticError, AssertionError, IndexError, TypeError, ValueError) as error:
        # Some of its assertions have no words
        why = (str(error) or repr(error)).splitlines()[0]
        raise DinaError(f"sampling schedule: {name} refuses {steps} steps: {why}") from error
    levels = _visited(copy, process)
    if levels[-1] >= levels[-2] and levels[-2] <= 1 / process.num_train_timesteps:
        levels[-1] = 0
    _check_levels(name, copy, process, levels, steps)
    return levels


def level_shift(
    scheduler: Any,  # noqa: ANN401
    process: ForwardProcess,
    tokens: int,
    largest_shift: float | None = 1.15,
) -> float:
    """The factor s by which a flow's scheduler moves levels, `t <- s t / (1 + (s - 1) t)`; 1 for other processes.

    `tokens` and `largest_shift` as in `sampling_levels`. Where the schedule is shifted by the size of the picture, s is
    exp(mu), or mu where the scheduler says `linear`.
    """
    if not isinstance(process, RectifiedFlow):
        return 1.0
    config = scheduler.config
    if config.get("use_dynamic_shifting", False) and largest_shift is not None:
        mu = _shift(config, tokens, largest_shift)
        return mu if config.get("time_shift_type") == "linear" else math.exp(mu)
    return float(config.get("shift") or config.get("flow_shift") or 1.0)


def _shift(config: Any, tokens: int, largest: float) -> float:  # noqa: ANN401
    """`mu` of a schedule that is shifted by the size of the picture."""
    found = calculate_shift(
        tokens,
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", largest),
    )
    return float(found)


def _visited(scheduler: Any, process: ForwardProcess) -> Float[Tensor, " levels"]:  # noqa: ANN401
    """Every level between two steps; those of second order name a level twice."""
    kind = kind_of(scheduler, process)
    if kind == "grid":
        timesteps = torch.unique_consecutive(scheduler.timesteps.float().cpu())
        # Rounding can put one more behind the last, at -1
        levels = process.noise_level_from_timestep(timesteps[timesteps >= 0])
        return torch.cat([levels, torch.tensor([grid_end(scheduler, process, timesteps[-1])])])
    every = scheduler.sigmas.float().cpu()
    starts = torch.unique_consecutive(every[:-1])
    sigmas = torch.cat([starts[starts > 0], every[-1:]])
    return sigmas if kind == "flow" else levels_of_ratios(process, sigmas)


def levels_of_ratios(process: ForwardProcess, ratios: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The noise levels where sigma / alpha has these values, of a variance-preserving process.

    It has alpha^2 = 1 / (1 + ratio^2), which is linear between two timesteps. Where a timestep is hit but for
    rounding, the level is exactly that timestep's.
    """
    count = process.num_train_timesteps
    known = process.alpha(torch.arange(count + 1, dtype=torch.float64) / count).square()
    wanted = 1 / (1 + ratios.double().cpu().square())
    position = torch.from_numpy(np.interp(wanted.numpy(), known.flip(0).numpy(), np.arange(count, -1, -1.0)))
    whole = position.round()
    return (torch.where((position - whole).abs() < 1e-3, whole, position) / count).float()


def grid_end(scheduler: Any, process: ForwardProcess, last: Tensor) -> float:  # noqa: ANN401
    """The level behind the step from the last timestep, of a scheduler on the grid of timesteps."""
    if is_a(scheduler, *_TO_THE_NEXT):
        return 0.0
    behind = float(last) - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    if behind >= 0:
        return float(process.noise_level_from_timestep(behind))
    return float(process.noise_level_from_timestep(0)) if scheduler.config.get("set_alpha_to_one") is False else 0.0


_TO_THE_NEXT = ("DDPMScheduler", "DDPMParallelScheduler", "LCMScheduler")
"""Schedulers on the grid that step from a timestep to the next of their list, others a fixed number of timesteps on."""


def _check_levels(
    name: str,
    scheduler: Any,  # noqa: ANN401
    process: ForwardProcess,
    levels: Float[Tensor, " levels"],
    steps: int,
) -> None:
    """ValueError unless the levels are one a step, fall, and are those that the model is told."""
    where = f"sampling schedule: {name} with {steps} steps"
    inside = bool(((levels >= 0) & (levels <= 1)).all())
    if not inside:
        raise DinaError(f"{where}: sigmas from {levels[0]:g} to {levels[-1]:g} are no levels of {process!r}")
    if len(levels) != steps + 1 or not bool((levels.diff() < 0).all()):
        raise DinaError(
            f"{where} takes its state to {len(levels)} noise levels, the last {levels[-1]:.4g} behind {levels[-2]:.4g}"
            f"; accepted: {steps + 1} that fall: fewer steps, another timestep_spacing, or a last level of 0 "
            "(final_sigmas_type='zero', set_alpha_to_one)"
        )
    told = scheduler.timesteps.double().cpu()
    apart = (process.timestep_from_noise_level(levels[:-1].double())[:, None] - told).abs().amin(dim=1)
    if bool((apart > _ONE_TIMESTEP).any()):
        raise DinaError(f"{where} tells the model timesteps {float(apart.max()):.4g} off its states' own")
    if kind_of(scheduler, process) == "grid" and not is_a(scheduler, *_TO_THE_NEXT):
        off = told.unique().diff() - scheduler.config.num_train_timesteps // steps
        if bool((off.abs() > _ONE_TIMESTEP).any()):
            spacing = scheduler.config.get("timestep_spacing")
            raise DinaError(
                f"{where} and timestep_spacing={spacing!r} steps {float(off.abs().max()):.4g} timesteps beside those "
                "that it visits; accepted: 'leading' and 'trailing'"
            )
