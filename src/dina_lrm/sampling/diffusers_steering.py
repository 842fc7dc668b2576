r"""Steering a diffusers pipeline by the gradient of a reward, from its own callback.

    g      the gradient of the reward of the state x_t at its noise level, divided by its root mean square
    x_t'   = x_t + alpha(t) strength g      the same noise on clean latents that lie `strength` further up

A callback sees states and no velocity: the gradient is taken at the state, where `guidance.py`, which samples by
itself, takes it at the clean prediction. A step costs one gradient of the reward more.
"""

from __future__ import annotations

from typing import Any, ClassVar, final

import torch
from diffusers import DiffusionPipeline
from diffusers.callbacks import PipelineCallback
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.latents import packed
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.sampling.guidance import RewardGuidance
from dina_lrm.sampling.pipeline_states import PipelineStates, StateReader, Told
from dina_lrm.typed import DinaError


@final
class RewardSteering(PipelineCallback):
    """A `callback_on_step_end` that moves the latents after each step up the gradient of a reward.

    `guidance` says how far, and behind which noise levels; latents at level 0, which are finished, are never moved.
    Each latent moves by its own gradient, whatever else is in the batch. The reward is climbed directly: a strength
    that is too large hacks it, which another reward shows. `prompts` are as `RewardTrace` takes them; pipelines that
    pack their latents (FLUX, Qwen-Image) need `size`, the height and width in pixels that the pipeline is called with.

    Raises ValueError for a reward on a server, which has no gradient.

    Raises, when called:
        ValueError: as `RewardTrace` does, for packed latents without `size`, for a scheduler whose latents are a
            multiple of the state (Euler's of noise-predicting models), and for a gradient that is not finite.
    """

    tensor_inputs: ClassVar[list[str]] = ["latents"]
    """What diffusers is to hand over."""

    def __init__(
        self,
        model: StateReader,
        prompts: Told,
        guidance: RewardGuidance | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, LatentRewardModel):
            raise DinaError(f"RewardSteering: {model.name} has no gradient; accepted: a reward model of this process")
        self._model, self._guidance = model, RewardGuidance() if guidance is None else guidance
        self._states = PipelineStates("RewardSteering", model, prompts, size)

    def callback_fn(
        self,
        pipeline: DiffusionPipeline,
        step_index: int,
        timesteps: Tensor | float | int,
        callback_kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        """Return what it was given, with the latents moved where the noise level behind the step is guided."""
        state, level = self._states.behind(pipeline, step_index, timesteps, callback_kwargs)
        given = callback_kwargs["latents"]
        if level == 0 or not self._guidance.guides(level):
            return callback_kwargs
        if state is not given:
            name = type(pipeline.scheduler).__name__
            raise DinaError(f"RewardSteering: latents of {name} are no states; accepted: schedulers of flows, and DDIM")
        latents = self._states.unpacked(pipeline, state)
        if latents is None:
            raise DinaError("RewardSteering: latents are packed; accepted: size=(height, width), in pixels")
        moved = self._moved(latents, level)
        return {**callback_kwargs, "latents": (packed(moved) if given.ndim == 3 else moved).to(given.dtype)}

    def _moved(self, latents: Tensor, level: float) -> Float[Tensor, "batch channels height width"]:
        """ValueError where the gradient is not finite."""
        with torch.enable_grad():
            x = latents.detach().float().requires_grad_()
            (gradient,) = torch.autograd.grad(self._states.score(x, level).sum(), x)
        if not bool(gradient.isfinite().all()):
            raise DinaError(f"RewardSteering at noise level {level:.4g}: the reward's gradient is not finite")
        size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
        alpha = float(self._model.process.alpha(level))
        return x.detach() + alpha * self._guidance.strength * gradient / size
