"""Watching a diffusers pipeline sample with a reward.

trace = RewardTrace(reward_model, prompts)
pipeline(prompts, callback_on_step_end=trace)       # trace.levels, trace.scores
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from diffusers import DiffusionPipeline
from jaxtyping import Float
from torch import Tensor

from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.generators.sampler_states import state_behind
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError


@final
class RewardTrace:
    """A `callback_on_step_end`: scores the latents after each step, at the noise level that the step left them at.

    `prompts` are those of the call, one or several; each has its pictures side by side, as `num_images_per_prompt` puts
    them. The reward model reads its own conditioning of the prompts, without guidance: a pipeline's latents are one a
    picture whether it guides or not. Nothing of the generation changes, to the bit, also where the reward model shares
    the pipeline's weights. A new call begins a new trace.

    Pipelines that pack their latents (FLUX, Qwen-Image) need `unpack`: from what they hold to (batch, channels, height,
    width).

    Raises, when called:
        ValueError: for a pipeline of another forward process than the reward model's, packed latents without `unpack`,
            a scheduler that visits a timestep twice, and latents that are not as many to each prompt.
    """

    def __init__(
        self,
        model: LatentRewardModel,
        prompts: str | Sequence[str],
        unpack: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._model, self._unpack = model, unpack
        self._conditioning = model.encode_prompts(prompts)
        self._levels: list[float] = []
        self._scores: list[Tensor] = []

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise level after each step; the last is 0, or that of timestep 0 where the scheduler ends there."""
        return tuple(self._levels)

    @property
    def scores(self) -> Float[Tensor, "steps batch"]:
        """Raw scores, on the CPU; each noise level has a scale of its own. ValueError before a call."""
        if not self._scores:
            raise DinaError("RewardTrace: nothing recorded; accepted: pass it to a pipeline as callback_on_step_end")
        return torch.stack(self._scores)

    @torch.no_grad()
    def __call__(
        self, pipeline: DiffusionPipeline, step: int, timestep: Tensor | float | int, callback_kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Score `callback_kwargs["latents"]`; returns what it was given."""
        if "latents" not in callback_kwargs:
            given = ", ".join(callback_kwargs) or "nothing"
            raise DinaError(f"RewardTrace: got {given}; accepted: callback_on_step_end_tensor_inputs with 'latents'")
        if step == 0:
            self._levels, self._scores = [], []
        scheduler, process = pipeline.scheduler, self._model.process
        if type(process_from_scheduler(scheduler)) is not type(process):
            name = type(scheduler).__name__
            raise DinaError(f"RewardTrace: {name} is not of the reward model's process; accepted: one of {process!r}")
        state, level = state_behind(scheduler, process, callback_kwargs["latents"], step, timestep)
        self._scores.append(self._scored(state, level).float().cpu())
        self._levels.append(level)
        return callback_kwargs

    def _scored(self, state: Tensor, level: float) -> Tensor:
        if self._unpack is not None:
            state = self._unpack(state)
        if state.ndim != 4:
            raise DinaError(
                f"RewardTrace: latents have shape {tuple(state.shape)}, which are packed; accepted: unpack=, a "
                "function from them to (batch, channels, height, width)"
            )
        prompts = len(self._conditioning)
        if len(state) % prompts:
            raise DinaError(f"RewardTrace: {len(state)} latents for {prompts} prompts; accepted: as many to each")
        return self._model.score_noisy(state, level, self._conditioning.repeat_interleave(len(state) // prompts))
