"""Reward functions of TRL: of texts for GRPOTrainer and its kin, of pictures for scripts of its diffusion trainers.

    from dina_lrm.integrations.trl import text_reward

    trainer = GRPOTrainer(model, reward_funcs=[text_reward(draw="synthetic", prompt_column="caption")], ...)

TRL's own trainers of diffusion models (DDPO, AlignProp) ended with version 0.23; `picture_reward` is what scripts
written for them call, and `as_reward` makes one of their functions a reward of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.integrations.text_settings import TextSettings
from dina_lrm.integrations.texts import Score, TextScores
from dina_lrm.rewards.base import NoiseLevels
from dina_lrm.rewards.names import is_reward, load_reward
from dina_lrm.typed import DinaError

PictureScores = tuple[Float[Tensor, " batch"], dict[str, Any]]
"""What TRL's diffusion trainers take: rewards, and what else there is to say of them."""


def text_reward(
    model: str = "synthetic",
    *,
    draw: str | None = None,
    caption_of: str | None = None,
    folder: str | Path | None = None,
    prompt_column: str | None = None,
    name: str = "dina",
    **more: Any,  # noqa: ANN401 - fields of TextSettings, which refuses others
) -> Callable[..., list[Score]]:
    """A reward function `(prompts, completions, completion_ids, **columns) -> list[float | None]` called `name`.

    Exactly one of `draw`, `caption_of` and `folder` says where the picture of a completion comes from; `more` are other
    fields of `TextSettings` (noise_level, seed, steps, resolution, guidance, device, batch_size). A completion without
    a picture scores None, which TRL leaves out.

    Raises ValueError for settings that are none; the function raises as `TextScores` does.
    """
    settings = TextSettings(model, draw, caption_of, folder, prompt_column, **more)
    scores = TextScores(settings)

    def reward(
        prompts: Sequence[object], completions: Sequence[object], completion_ids: object = None, **columns: object
    ) -> list[Score]:
        return scores(prompts, completions, columns)

    reward.__name__ = name
    return reward


def picture_reward(
    model: str = "synthetic", *, noise_level: NoiseLevels = None, metadata: bool = True, name: str = "dina"
) -> Callable[..., PictureScores | Tensor]:
    """A function `(images, prompts, metadata)` of pictures (batch, 3, height, width) in [0, 1], called `name`.

    It returns (rewards, {}), as DDPO and AlignProp unpack it; with `metadata=False` the tensor of rewards alone. A
    reward model reads pictures without gradient (DDPO); AlignProp needs a reward that has one, such as "clip". Scores
    are raw.

    Raises ValueError for what is no reward of pictures; the function does where pictures need a gradient that the
    reward does not have, and where there is no finite score.
    """
    reward = load_reward(model if is_reward(model) else f"image:{model.removeprefix('latent:')}", None, noise_level)
    if reward.kind != "pixel":
        raise DinaError(f"picture_reward: {model!r} reads latents; accepted: rewards of pictures")

    def scores(images: Tensor, prompts: Sequence[str], given: object = None) -> PictureScores | Tensor:
        if images.requires_grad and not reward.differentiable:
            raise DinaError(f"{reward.name}: it has no gradient, which AlignProp needs; accepted: a judge such as clip")
        found = reward(images.float(), list(prompts)).to(images.device)
        if found.shape != (len(images),) or not bool(found.isfinite().all()):
            raise DinaError(
                f"{reward.name}: {found.tolist()} for {len(images)} pictures; accepted: a finite score each"
            )
        return (found, {}) if metadata else found

    scores.__name__ = name
    return scores


def as_reward(
    function: Callable[[Tensor, tuple[str, ...], tuple[Any, ...]], Any],
) -> Callable[[Tensor, Sequence[str]], Tensor]:
    """A function of TRL's diffusion trainers as the one that `python:MODULE.NAME` names here.

    It is called with (images, prompts, metadata) and may return rewards, or rewards and metadata; an empty dictionary
    stands for each prompt's metadata.
    """

    def reward(images: Tensor, prompts: Sequence[str]) -> Tensor:
        found = function(images, tuple(prompts), ({},) * len(prompts))
        return torch.as_tensor(found[0] if isinstance(found, tuple) else found)

    reward.__name__ = getattr(function, "__name__", "reward")
    return reward
