"""What a pipeline of diffusers shows between its steps, as a reward model reads it: states, noise levels, prompts.

Pipelines of FLUX and Qwen-Image hand over tokens, 2 x 2 latents each. How wide the picture is, the tokens do not say,
nor does the pipeline; its next call of the model does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.latents import unpacked
from dina_lrm.backbones.unwrapped import unwrapped
from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.generators.sampler_states import state_behind
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError

Told = str | Sequence[str] | Conditioning
"""Prompts, or their conditioning as the reward model reads it."""


@final
class PipelineStates:
    """States of the calls of one pipeline, for a reward model; `where` names who asks, in errors.

    A reward model reads its own conditioning of the prompts, encoded once: no pipeline tells all of it (pooled vectors
    and masks are missing), and with guidance its rows are those of the negative prompt too.
    """

    def __init__(self, where: str, model: LatentRewardModel, prompts: Told, size: tuple[int, int] | None) -> None:
        self._where, self._model = where, model
        self._conditioning = prompts if isinstance(prompts, Conditioning) else model.encode_prompts(prompts)
        self._fixed = None if size is None else self._latents_of(size)

    def behind(
        self, pipeline: DiffusionPipeline, step: int, timestep: Tensor | float | int, given: Mapping[str, Any]
    ) -> tuple[Tensor, float]:
        """The state behind a step, from what a callback was given, and its noise level in [0, 1].

        Raises ValueError where no latents were given, and for a pipeline of another forward process.
        """
        if "latents" not in given:
            named = ", ".join(given) or "nothing"
            raise DinaError(f"{self._where}: got {named}; accepted: callback_on_step_end_tensor_inputs with 'latents'")
        scheduler, process = pipeline.scheduler, self._model.process
        if type(process_from_scheduler(scheduler)) is not type(process):
            name = type(scheduler).__name__
            raise DinaError(f"{self._where}: {name} is not of the reward model's process; accepted: one of {process!r}")
        return state_behind(scheduler, process, given["latents"], step, timestep)

    def conditioning(self, count: int) -> Conditioning:
        """That of `count` latents; ValueError where they are not as many to each prompt."""
        prompts = len(self._conditioning)
        if count % prompts:
            raise DinaError(f"{self._where}: {count} latents for {prompts} prompts; accepted: as many to each")
        return self._conditioning.repeat_interleave(count // prompts)

    def unpacked(self, tokens: Tensor, call: Mapping[str, Any] | None = None) -> Tensor | None:
        """Tokens (batch, tokens, channels) as latents (batch, channels, height, width); others as they are.

        Their size is that given at the beginning, or what the `call` of the model says; None where neither does.
        """
        if tokens.ndim != 3 or not self._model.backbone.sampling.packs:
            return tokens
        size = self._fixed or (None if call is None else _size_of(call, tokens.shape[1]))
        if size is None:
            return None
        if size[0] * size[1] != 4 * tokens.shape[1] or tokens.shape[2] % 4:
            pixels = tuple(side * self._model.backbone.pixels_per_latent for side in size)
            raise DinaError(
                f"{self._where}: {tuple(tokens.shape[1:])} tokens and channels are no picture of {pixels} pixels; "
                "accepted: size=(height, width) as the pipeline was called with"
            )
        return unpacked(tokens, *size)

    def _latents_of(self, size: tuple[int, int]) -> tuple[int, int]:
        multiple = 2 * self._model.backbone.pixels_per_latent
        if any(side < multiple or side % multiple for side in size):
            raise DinaError(f"{self._where}: size {size}; accepted: (height, width) in pixels, multiples of {multiple}")
        height, width = (side // self._model.backbone.pixels_per_latent for side in size)
        return height, width


@final
class NextCall:
    """Listens to a pipeline's next call of its model, once."""

    def __init__(self, pipeline: DiffusionPipeline) -> None:
        self.arguments: Mapping[str, Any] | None = None
        """What the model was called with; None until it is."""
        model = unwrapped(pipeline.components.get("transformer"))
        self._handle = model.register_forward_pre_hook(self._heard, with_kwargs=True)

    def _heard(self, module: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.stop()
        self.arguments = {name: named[name] for name in ("img_ids", "img_shapes") if name in named}

    def stop(self) -> None:
        """Listen no more."""
        self._handle.remove()


def _size_of(call: Mapping[str, Any], tokens: int) -> tuple[int, int] | None:
    """Height and width of the latents by the positions that FLUX is called with, or the shapes of Qwen-Image."""
    if (shapes := call.get("img_shapes")) is not None:
        _, rows, columns = shapes[0][0]
        return 2 * int(rows), 2 * int(columns)
    if (positions := call.get("img_ids")) is not None:
        # Tokens of pictures that are only looked at stand behind
        rows, columns = positions.reshape(-1, 3)[:tokens, 1:].max(dim=0).values.to(torch.int64) + 1
        return 2 * int(rows), 2 * int(columns)
    return None
