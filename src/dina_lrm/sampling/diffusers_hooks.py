"""Watching a diffusers pipeline sample with a reward.

trace = RewardTrace(reward_model, prompts)
pipeline(prompts, callback_on_step_end=trace)       # trace.levels, trace.scores
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, final

import torch
from diffusers import DiffusionPipeline
from diffusers.callbacks import PipelineCallback
from jaxtyping import Float
from torch import Tensor

from dina_lrm.sampling.pipeline_states import NextCall, PipelineStates, StateReader, Told
from dina_lrm.typed import DinaError


@final
class RewardTrace(PipelineCallback):
    """A `callback_on_step_end`: scores the latents after each step, at the noise level that the step left them at.

    `prompts` are those of the call, one or several, or their conditioning; each has its pictures side by side, as
    `num_images_per_prompt` puts them. The reward model reads its own conditioning of the prompts, without guidance: a
    pipeline's latents are one a picture whether it guides or not. Nothing of the generation changes, to the bit, also
    where the reward model shares the pipeline's weights. A new call begins a new trace.

    `model` is a reward model, or one on a server (`RemoteReward.load("http://HOST:PORT/NAME")`), which encodes the
    prompts itself.

    Pipelines that pack their latents (FLUX, Qwen-Image) say their size with the next call of their model, and the first
    step is scored then. A call of a single step needs `size`, the height and width in pixels that the pipeline is
    called with, and another layout needs `unpack`: from what the pipeline holds to (batch, channels, height, width).

    Raises, when called:
        ValueError: for a pipeline of another forward process than the reward model's, latents of another layout without
            `unpack`, a scheduler that visits a timestep twice, and latents that are not as many to each prompt.
        RemoteRewardError: where a server gives no scores.
    """

    tensor_inputs: ClassVar[list[str]] = ["latents"]
    """What diffusers is to hand over."""

    def __init__(
        self,
        model: StateReader,
        prompts: Told,
        unpack: Callable[[Tensor], Tensor] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self._unpack = unpack
        self._states = PipelineStates("RewardTrace", model, prompts, size)
        self._next_call: NextCall | None = None
        self._waiting: list[tuple[Tensor, float]] = []
        self._levels: list[float] = []
        self._scores: list[Tensor] = []

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise level after each step; the last is 0, or that of timestep 0 where the scheduler ends there."""
        return tuple(self._levels)

    @property
    def scores(self) -> Float[Tensor, "steps batch"]:
        """Raw scores, on the CPU; each noise level has a scale of its own. ValueError before a call."""
        if not self._levels:
            raise DinaError("RewardTrace: nothing recorded; accepted: pass it to a pipeline as callback_on_step_end")
        if self._waiting:
            raise DinaError(
                "RewardTrace: latents are packed, and a single step does not tell their size; accepted: "
                "size=(height, width), in pixels"
            )
        return torch.stack(self._scores)

    @torch.no_grad()
    def callback_fn(
        self,
        pipeline: DiffusionPipeline,
        step_index: int,
        timesteps: Tensor | float | int,
        callback_kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        """Score `callback_kwargs["latents"]`; returns what it was given."""
        if step_index == 0:
            self._levels, self._scores, self._waiting, self._next_call = [], [], [], None
        state, level = self._states.behind(pipeline, step_index, timesteps, callback_kwargs)
        self._waiting.append((state, level))
        self._score_waiting(pipeline)
        self._levels.append(level)
        return callback_kwargs

    def _score_waiting(self, pipeline: DiffusionPipeline) -> None:
        call = None if self._next_call is None else self._next_call.arguments
        while self._waiting:
            held, level = self._waiting[0]
            state = self._states.unpacked(pipeline, held, call) if self._unpack is None else self._unpack(held)
            if state is None:
                return self._wait(pipeline)
            if state.ndim != 4:
                raise DinaError(
                    f"RewardTrace: latents have shape {tuple(state.shape)}, which are packed; accepted: unpack=, a "
                    "function from them to (batch, channels, height, width)"
                )
            self._scores.append(self._states.score(state, level).float().cpu())
            self._waiting.pop(0)

    def _wait(self, pipeline: DiffusionPipeline) -> None:
        """Keep the state until the pipeline calls its model again."""
        held, level = self._waiting.pop()
        self._waiting.append((held.clone(), level))
        if self._next_call is None:
            self._next_call = NextCall(pipeline)
