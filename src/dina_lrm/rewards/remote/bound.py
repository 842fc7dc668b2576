"""A server's model bound to a generator, as `LatentReward` of this process is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.base import BoundReward, HostGenerator, Scores
from dina_lrm.rewards.remote.questions import Kind

if TYPE_CHECKING:
    from dina_lrm.rewards.remote.reward import RemoteReward


@final
class BoundRemote(BoundReward):
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

    @property
    def _kind(self) -> Kind:
        return "z" if self._reward.service.has_statistics else "raw"

    def _scores(
        self, latents: Tensor, prompts: Sequence[str], seed: int, given: Conditioning | None, kind: Kind
    ) -> Scores:
        length = self._reward.service.prompt_length
        if length is not None and length != self._generator.prompt_length:
            return self._reward.score_texts(latents.float(), prompts, seed, kind=kind)
        told = self._generator.encode_prompts(prompts) if given is None else given
        return self._reward.score(latents.float(), told, seed, kind=kind)
