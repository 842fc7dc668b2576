"""The noise levels that a pipeline's own scheduler visits, in the library's convention."""

from __future__ import annotations

from typing import Any

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
) -> Float[Tensor, " levels"]:
    """`steps` + 1 noise levels, falling; `tokens` is the length of the image's sequence.

    The last is 0, but for schedulers that end at timestep 0 (`set_alpha_to_one` off, as Stable Diffusion's): its level.

    A copy of the scheduler is asked, so that the pipeline's own keeps its state. Schedules that are shifted by the size
    of the picture (FLUX, Qwen-Image) get the shift of that size. ValueError for fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"sampling steps: got {steps}, accepted is at least 1")
    copy = type(scheduler).from_config(scheduler.config)
    if isinstance(process, RectifiedFlow):
        shifted = bool(copy.config.get("use_dynamic_shifting", False))
        copy.set_timesteps(steps, **({"mu": calculate_shift(tokens, **_shift_range(copy.config))} if shifted else {}))
        return copy.sigmas.float().cpu()
    copy.set_timesteps(steps)
    levels = process.noise_level_from_timestep(copy.timesteps.float().cpu())
    end = process.noise_level_from_timestep(0) if copy.config.get("set_alpha_to_one") is False else torch.tensor(0.0)
    # A schedule whose last step starts there has none left but to the clean latent
    return torch.cat([levels, torch.where(end < levels[-1], end, 0.0).reshape(1)])


def _shift_range(config: Any) -> dict[str, float]:  # noqa: ANN401
    names = {"base_seq_len": "base_image_seq_len", "max_seq_len": "max_image_seq_len"}
    return {
        **{argument: config[stored] for argument, stored in names.items()},
        **{name: config[name] for name in ("base_shift", "max_shift")},
    }
