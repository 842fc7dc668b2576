"""A reward as a loss for a training loop of one's own.

loss = reward_loss(reward_model, latents, prompts)
loss.backward()
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.refl_loss import refl_loss
from dina_lrm.alignment.algorithms.refl_settings import Shaping
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.reward_model.checks import NoiseLevels
from dina_lrm.reward_model.model import LatentRewardModel


def reward_loss(
    model: LatentRewardModel,
    latents: Float[Tensor, "batch channels height width"],
    prompts: str | Sequence[str] | Conditioning,
    noise_level: NoiseLevels | None = None,
    seed: int = 0,
    shaping: Shaping = "linear",
) -> Float[Tensor, ""]:
    """Mean over the batch of the shaped, normalised reward of clean latents: lower is better, differentiable.

    `latents` are in the generator's scaled space, such as the clean prediction of a velocity. The noise that they are
    read with is drawn from `seed`, one draw for all; give another seed each step, or one draw is what is learned.
    """
    conditioning = prompts if isinstance(prompts, Conditioning) else model.encode_prompts(prompts)
    rewards = model.normalize(model.score_latents(latents, conditioning, noise_level, seed=seed))
    return refl_loss(rewards, shaping)
