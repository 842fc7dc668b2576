"""What a pipeline of diffusers shows between its steps, as a reward reads it: states, noise levels, prompts.

Pipelines of FLUX and Qwen-Image hand over tokens, 2 x 2 latents each. How wide the picture is, the tokens do not say,
nor does the pipeline; its next call of the model does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from diffusers import DiffusionPipeline
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.families import FAMILIES
from dina_lrm.backbones.latents import unpacked
from dina_lrm.backbones.registry import family_of_pipeline
from dina_lrm.backbones.unwrapped import unwrapped
from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.generators.sampler_states import state_behind
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.remote import RemoteReward
from dina_lrm.rewards.remote.questions import PromptTable
from dina_lrm.typed import DinaError

Told = str | Sequence[str] | Conditioning
"""Prompts, or their conditioning as the reward model reads it."""
StateReader = LatentRewardModel | RemoteReward
"""What scores a state at its own noise level: a reward model, or one on a server."""


@final
class PipelineStates:
    """States of the calls of one pipeline, for a reward; `where` names who asks, in errors.

    A reward reads its own conditioning of the prompts, encoded once, here or by the server: no pipeline tells all of it
    (pooled vectors and masks are missing), and with guidance its rows are those of the negative prompt too.
    """

    def __init__(self, where: str, reward: StateReader, prompts: Told, size: tuple[int, int] | None) -> None:
        self._where, self._reward, self._size = where, reward, size
        self._prompts: Conditioning | list[str]
        if isinstance(prompts, Conditioning):
            self._prompts = prompts
        elif isinstance(reward, LatentRewardModel):
            self._prompts = reward.encode_prompts(prompts)
        else:
            self._prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        if isinstance(reward, LatentRewardModel) and size is not None:
            self._latents_of(size, reward.backbone.pixels_per_latent)

    def behind(
        self, pipeline: DiffusionPipeline, step: int, timestep: Tensor | float | int, given: Mapping[str, Any]
    ) -> tuple[Tensor, float]:
        """The state behind a step, from what a callback was given, and its noise level in [0, 1].

        Raises ValueError where no latents were given, and for a pipeline of another forward process or family.
        """
        if "latents" not in given:
            named = ", ".join(given) or "nothing"
            raise DinaError(f"{self._where}: got {named}; accepted: callback_on_step_end_tensor_inputs with 'latents'")
        scheduler, process = pipeline.scheduler, process_from_scheduler(pipeline.scheduler)
        if isinstance(self._reward, LatentRewardModel):
            own = self._reward.process
            if type(process) is not type(own):
                name = type(scheduler).__name__
                raise DinaError(f"{self._where}: {name} is not of the reward model's process; accepted: one of {own!r}")
            process = own
        else:
            self._check_family(pipeline, self._reward)
        return state_behind(scheduler, process, given["latents"], step, timestep)

    def score(self, state: Float[Tensor, "batch channels height width"], level: float) -> Float[Tensor, " batch"]:
        """Raw scores of states at their level; ValueError where they are not as many to each prompt."""
        told = self.prompts(len(state))
        if isinstance(self._reward, LatentRewardModel):
            assert isinstance(told, Conditioning)
            return self._reward.score_noisy(state, level, told)
        if isinstance(told, Conditioning):
            table = PromptTable.of_conditioning(told, len(state))
        else:
            table = PromptTable.of_texts(told)
        return self._reward.asked(state.float(), table, (level,), 0, "noisy", "raw")

    def prompts(self, count: int) -> Conditioning | list[str]:
        """Those of `count` latents, side by side for each prompt."""
        prompts = len(self._prompts)
        if count % prompts:
            raise DinaError(f"{self._where}: {count} latents for {prompts} prompts; accepted: as many to each")
        if isinstance(self._prompts, Conditioning):
            return self._prompts.repeat_interleave(count // prompts)
        return [text for text in self._prompts for _ in range(count // prompts)]

    def unpacked(
        self, pipeline: DiffusionPipeline, tokens: Tensor, call: Mapping[str, Any] | None = None
    ) -> Tensor | None:
        """Tokens (batch, tokens, channels) as latents (batch, channels, height, width); others as they are.

        Their size is that given at the beginning, or what the `call` of the model says; None where neither does.
        """
        if tokens.ndim != 3 or not FAMILIES[family_of_pipeline(pipeline)].load_class().sampling.packs:
            return tokens
        side = pipeline.vae_scale_factor
        size = None if self._size is None else self._latents_of(self._size, side)
        size = size or (None if call is None else _size_of(call, tokens.shape[1]))
        if size is None:
            return None
        if size[0] * size[1] != 4 * tokens.shape[1] or tokens.shape[2] % 4:
            told = f"{tuple(tokens.shape[1:])} tokens and channels are no picture of {size[0] * side}x{size[1] * side}"
            raise DinaError(f"{self._where}: {told} pixels; accepted: size=(height, width) as the pipeline is called")
        return unpacked(tokens, *size)

    def _latents_of(self, size: tuple[int, int], side: int) -> tuple[int, int]:
        if any(each < 2 * side or each % (2 * side) for each in size):
            raise DinaError(f"{self._where}: size {size}; accepted: (height, width) in pixels, multiples of {2 * side}")
        return size[0] // side, size[1] // side

    def _check_family(self, pipeline: DiffusionPipeline, reward: RemoteReward) -> None:
        found, wanted = family_of_pipeline(pipeline), reward.service.facts.get("family")
        if wanted not in (None, found):
            raise DinaError(f"{self._where}: {reward.name} reads the family {wanted!r}; accepted: not {found!r}")


@final
class NextCall:
    """Listens to a pipeline's next call of its model, once."""

    def __init__(self, pipeline: DiffusionPipeline) -> None:
        self.arguments: Mapping[str, Any] | None = None
        """What the model was called with; None until it is."""
        model = unwrapped(pipeline.components.get("transformer"))
        self._handle = model.register_forward_pre_hook(self._heard, with_kwargs=True)

    def _heard(self, module: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._handle.remove()
        self.arguments = {name: named[name] for name in ("img_ids", "img_shapes") if name in named}


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
