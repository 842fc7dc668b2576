"""A server's model bound to a generator, as `LatentReward` of this process is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.diffusion import process_from_scheduler
from dina_lrm.rewards.base import HostGenerator, Likelihood, Scores, StateReward
from dina_lrm.rewards.remote.questions import Kind, PromptTable
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.rewards.remote.reward import RemoteReward


@final
class BoundRemote(StateReward):
    """Scores of a server's model with the conditioning of one generator, normalised where it stores how."""

    def __init__(self, reward: RemoteReward, generator: HostGenerator) -> None:
        self._reward, self._generator = reward, generator

    def __call__(
        self, latents: Tensor, prompts: Sequence[str], seed: int = 0, conditioning: Conditioning | None = None
    ) -> Scores:
        """Score clean latents, by the mean and deviation stored with the model."""
        return self._scores(latents, prompts, seed, conditioning, self._kind)

    def raw(self, latents: Tensor, prompts: Sequence[str], seed: int, conditioning: Conditioning | None) -> Scores:
        """Score clean latents, with the noise that `seed` draws for all of them."""
        return self._scores(latents, prompts, seed, conditioning, "raw")

    def noisy(self, x: Tensor, level: float, prompts: Sequence[str], conditioning: Conditioning | None) -> Scores:
        """Score states at their own noise level, normalised."""
        table = self._prompts(prompts, conditioning, len(x))
        return self._reward.asked(x.float(), table, (level,), 0, "noisy", self._kind)

    def preferred(self, margin: Tensor, level: float | None) -> Tensor:
        """P(first preferred) from the margin of two normalised scores, by the likelihood stored with the model."""
        service = self._reward.service
        assert service.preference is not None
        own = self._reward.levels or (service.noise_level or 0.0,)
        levels = torch.tensor(own if level is None else (level,))
        process = process_from_scheduler(self._generator.pipeline.scheduler)
        sigma = process.sigma(levels).square().mean().sqrt().to(margin.device)
        return service.preference.probability(margin / service.temperature, sigma)

    def check_states(self, use: str) -> None:
        """Refuse a server that speaks protocol 1 alone, or does not tell the model's likelihood."""
        service = self._reward.service
        if service.protocol == "1" or service.preference is None:
            told = f"{use} scores of unfinished samples by {self._reward.name}, which does not tell its likelihood"
            raise DinaError(f"{told}; accepted: latent:MODEL, or a server of this version")

    def likelihood(self) -> Likelihood | None:
        """That of the model, where the server tells it."""
        return None if self._reward.service.preference is None else super().likelihood()

    @property
    def _kind(self) -> Kind:
        return "z" if self._reward.service.has_statistics else "raw"

    def _scores(
        self, latents: Tensor, prompts: Sequence[str], seed: int, given: Conditioning | None, kind: Kind
    ) -> Scores:
        table = self._prompts(prompts, given, len(latents))
        return self._reward.asked(latents.float(), table, self._reward.levels, seed, "clean", kind, own=True)

    def _prompts(self, prompts: Sequence[str], given: Conditioning | None, count: int) -> PromptTable:
        """The generator's conditioning where the model reads it as it is, else texts for the server to encode."""
        service = self._reward.service
        length = service.prompt_length
        if service.drops_padding or (length is not None and length != self._generator.prompt_length):
            return PromptTable.of_texts(prompts)
        told = self._generator.encode_prompts(prompts) if given is None else given
        return PromptTable.of_conditioning(told, count)
