"""Which images of an update are held near the base model: all, or those whose reward its witnesses do not share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dina_lrm.alignment.algorithms.grpo.kl_gate import gate, proxy_uncertainty
from dina_lrm.alignment.algorithms.grpo.settings import GrpoSettings
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.rewards.base import Reward
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm


class GatedKl:
    """The auxiliary rewards of `grpo.kl_gate`, and what they say of a batch."""

    def __init__(self, generator: Generator, settings: GrpoSettings) -> None:
        terms = [RewardTerm(name) for name in settings.kl_gate]
        self._witnesses = Objective(generator, terms, differentiable=False)
        self._share = settings.kl_share

    @property
    def rewards(self) -> tuple[Reward, ...]:
        """The auxiliary rewards, none of which may be the golden one."""
        return self._witnesses.rewards

    @torch.no_grad()
    def scores(
        self, latents: Latents, prompts: Sequence[str], seed: int, conditioning: Conditioning
    ) -> Float[Tensor, "images rewards"]:
        """What each auxiliary reward finds. ValueError, naming it, where one gives no finite score."""
        parts = self._witnesses(latents, prompts, seed, conditioning).parts
        return torch.stack(list(parts.values()), dim=1)

    def held(
        self, proxy: Float[Tensor, " images"], auxiliary: Float[Tensor, "images rewards"]
    ) -> Bool[Tensor, " images"]:
        """The images of all processes that are held, from the optimised reward and the auxiliary ones."""
        return gate(proxy_uncertainty(proxy, auxiliary.T), self._share)
