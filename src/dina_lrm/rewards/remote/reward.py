"""The reward `remote:http://HOST:PORT/NAME`: a model of a server, on latents as they are or on pictures.

    reward = load_reward("remote:http://127.0.0.1:8311/dina")
    reward.score(latents, conditioning, seed=0)                 # on a thread
    await reward.score_async(latents, conditioning, seed=0)     # in an event loop, in any number of loops

The server adds the noise: the noise level is where it reads clean latents, the seed draws one noise for all of them,
as a latent reward of this process does. There is no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, final

import torch
from jaxtyping import Float32
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.addresses import Address, shown_url, without_password
from dina_lrm.rewards.base import BoundReward, HostGenerator, NoiseLevels, OnPictures, RewardKind, check_images
from dina_lrm.rewards.remote.asker import Asker
from dina_lrm.rewards.remote.bound import BoundRemote
from dina_lrm.rewards.remote.client import Patience, RemoteClient
from dina_lrm.rewards.remote.pictures import score_pictures
from dina_lrm.rewards.remote.questions import Kind, LatentQuestion, PromptTable, State
from dina_lrm.rewards.remote.service import Service
from dina_lrm.rewards.remote.tokens import checked_token, token_for
from dina_lrm.rewards.remote.traffic import Counts
from dina_lrm.typed import DinaError


@final
@dataclass(frozen=True, eq=False)
class RemoteReward:
    """Scores of the model that `url` names on a server; not differentiable.

    It reads latents, or pictures where `kind` is "pixel". `encode` makes the conditioning of prompts as the generator
    has it; without it the server encodes them, where it speaks protocol 2. `timeout` is that of each attempt, in
    seconds, for connecting, sending and reading together; `retries` attempts follow the first, fewer where nobody
    listens, with pauses drawn at random below `backoff`, doubled each time; `deadline` is for all of them together.
    A server that answered before and no longer listens is waited for, up to that deadline: it may be starting again.

    A name and password in `url`, and the `token` (None: that of the environment, see `tokens.py`), are sent to the
    server and shown nowhere. Proxies of the environment are not used.
    """

    url: str = field(repr=False)
    noise_level: NoiseLevels = None
    encode: Callable[[list[str]], Conditioning] | None = None
    timeout: float = Patience.timeout
    retries: int = Patience.retries
    backoff: float = Patience.backoff
    deadline: float = Patience.deadline
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    """A certificate to trust beside those of the system; SSL_CERT_FILE names one for a whole process."""
    connections: int = 32
    kind: RewardKind = "latent"
    seed: int = 0
    """Draws the noise where nothing else says which."""
    _asker: Asker = field(init=False, repr=False)
    differentiable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        try:
            address = Address.of(self.url)
        except ValueError as error:
            raise DinaError(
                f"{self.name}: no address; accepted: remote:http://HOST:PORT, or https, with a port of 1 to 65535"
            ) from error
        if self.token is not None:
            token: str | None = checked_token(self.token, f"{self.name}: token")
        else:
            token = None if address.authorization else token_for(address)
        patience = Patience(self.timeout, self.retries, self.backoff, self.deadline)
        client = RemoteClient(address, self.name, token, patience, self.connections, self.ca_file)
        object.__setattr__(self, "_asker", Asker(client))

    @classmethod
    def load(cls, model: str, generator: HostGenerator | None = None) -> RemoteReward:
        """The model at an address such as "http://localhost:8000/dina", on a server that must be ready.

        For a `generator` it reads latents, where the model does; else pictures. A server that speaks protocol 1 alone
        has models of latents.

        Raises:
            ValueError: for what is no address, and for a model that the server does not have.
            RemoteRewardError: when it is not ready.
        """
        reward = cls(model)
        reward.check_ready()
        service = reward.service
        reads_latents = service.protocol == "1" or (generator is not None and service.reads_latents)
        return reward._with(kind="latent" if reads_latents else "pixel")

    @property
    def name(self) -> str:
        """With its address, without a password."""
        return f"remote:{shown_url(self.url)}"

    @property
    def service(self) -> Service:
        """What the server says of the model; asked once."""
        return self._asker.service

    @property
    def traffic(self) -> Counts:
        """Attempts, retries, connections and bytes since it was made."""
        return self._asker.client.traffic

    @property
    def content(self) -> str:
        """What its scores depend on: the revision that the server tells, else its address."""
        known = self.service.revision or without_password(f"remote:{self.url}")
        return f"{known} {self.noise_level} {self.kind}"

    def read_at(self, noise_level: float | tuple[float, ...]) -> RemoteReward:
        """Return the same reward, reading at another level, or at several as an ensemble.

        Raises:
            ValueError: for several, where the server speaks protocol 1 alone.
        """
        if isinstance(noise_level, tuple) and self._asker.speaks_1_alone:
            raise DinaError(f"reward {self.name!r}: noise_level {noise_level}; accepted: one level, or None")
        return self._with(noise_level=noise_level)

    def bound_to(self, generator: HostGenerator) -> BoundReward:
        """Bind to a generator, whose latents and conditioning are sent as they are, or its decoded pictures."""
        return OnPictures(self, generator) if self.kind == "pixel" else BoundRemote(self, generator)

    def check_ready(self) -> None:
        """Ask for its health. RemoteRewardError when it does not answer 200."""
        self._asker.client.ask("GET", f"{self.service.base}/healthz")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of latents in the generator's scaled space, or of pictures in [0, 1], by `kind`.

        Raises:
            ValueError: for latents without `encode`, where the server cannot encode prompts itself.
            RemoteRewardError: see `score`.
        """
        if self.kind == "pixel":
            return self.score_pictures(inputs, prompts, self.seed)
        if self.encode is not None:
            return self.score(inputs, self.encode(list(prompts)), self.seed)
        if self.service.protocol == "1":
            raise DinaError(
                f"{self.name}: reads latents with their conditioning; accepted in `align`, `sample`, or with encode"
            )
        return self.score_texts(inputs, prompts, self.seed)

    def score(
        self, latents: Float32[Tensor, "batch channels height width"], conditioning: Conditioning,
        seed: int | Sequence[int] = 0, *, kind: Kind = "raw",
    ) -> Float32[Tensor, " batch"]:  # fmt: skip
        """Raw scores of clean latents, or z-scores. A `seed` draws the noise of all, several that of one latent each.

        Conditioning of a single prompt serves all latents.

        Raises:
            ValueError: for what the protocol of the server has no place for.
            RemoteRewardError: when the server was not reached in any attempt, refused the request, speaks another
                protocol, or answered with another number of scores or one that is not finite.
        """
        table = PromptTable.of_conditioning(conditioning, len(latents))
        return self.asked(latents, table, self.levels, seed, "clean", kind)

    async def score_async(
        self, latents: Float32[Tensor, "batch channels height width"], conditioning: Conditioning,
        seed: int | Sequence[int] = 0, *, kind: Kind = "raw",
    ) -> Float32[Tensor, " batch"]:  # fmt: skip
        """`score`, awaited; many may be under way, in several event loops."""
        return await self._asker.client.in_thread(partial(self.score, latents, conditioning, seed, kind=kind))

    def score_texts(
        self, latents: Float32[Tensor, "batch channels height width"], prompts: Sequence[str],
        seed: int | Sequence[int] = 0, *, kind: Kind = "raw",
    ) -> Float32[Tensor, " batch"]:  # fmt: skip
        """`score` with prompts that the server encodes, which needs protocol 2 and a server with text encoders."""
        return self.asked(latents, PromptTable.of_texts(prompts), self.levels, seed, "clean", kind)

    def score_noisy(
        self, states: Float32[Tensor, "batch channels height width"], noise_level: float, conditioning: Conditioning,
        *, kind: Kind = "raw",
    ) -> Float32[Tensor, " batch"]:  # fmt: skip
        """`score` of states x_t at their own noise level in [0, 1]: no noise is added. It needs protocol 2."""
        table = PromptTable.of_conditioning(conditioning, len(states))
        return self.asked(states, table, (noise_level,), 0, "noisy", kind)

    def score_pictures(
        self, images: Float32[Tensor, "batch 3 height width"], prompts: Sequence[str], seed: int = 0
    ) -> Float32[Tensor, " batch"]:
        """Raw scores of pictures in [0, 1], one prompt each; they are sent with 8 bits a channel.

        Raises:
            ValueError: for what is no batch of pictures, and where the server reads latents alone.
            RemoteRewardError: see `score`.
        """
        check_images(self.name, images, prompts)
        if self.service.protocol == "1":
            raise DinaError(f"{self.name}: speaks protocol 1 alone, which has no pictures; accepted: latents")
        client, levels = self._asker.client, self.levels
        found = score_pictures(client, self.service, images, list(prompts), levels, seed)
        return torch.tensor(found, dtype=torch.float32, device=images.device)

    async def score_pictures_async(
        self, images: Float32[Tensor, "batch 3 height width"], prompts: Sequence[str], seed: int = 0
    ) -> Float32[Tensor, " batch"]:
        """`score_pictures`, awaited."""
        return await self._asker.client.in_thread(partial(self.score_pictures, images, prompts, seed))

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise levels at which it reads clean latents; none are the model's own."""
        level = self.noise_level
        return level if isinstance(level, tuple) else () if level is None else (level,)

    def asked(
        self, latents: Tensor, prompts: PromptTable, levels: tuple[float, ...], seed: int | Sequence[int],
        state: State, kind: Kind, own: bool = False,
    ) -> Tensor:  # fmt: skip
        """Scores of latents with a table of prompts, which all the other ways to ask make. Raises as `score`.

        `own` says that they are surely a generator's: where they are too large, the server warns, and scores them.
        """
        if len(prompts.of_item) != len(latents):
            raise DinaError(
                f"{self.name}: {len(prompts.of_item)} prompts for {len(latents)} latents; accepted: one, or one each"
            )
        seeds = [seed] * len(latents) if isinstance(seed, int) else [*seed]
        if len(seeds) != len(latents):
            raise DinaError(f"{self.name}: {len(seeds)} seeds for {len(latents)} latents; accepted: one, or one each")
        question = LatentQuestion(latents, prompts, levels, seeds, state, kind, own)
        return torch.tensor(self._asker.scores(question), dtype=torch.float32, device=latents.device)

    def _with(self, **changes: object) -> RemoteReward:
        """The same reward with other settings, over the same connections."""
        found = replace(self, **changes)  # type: ignore[arg-type]
        object.__setattr__(found, "_asker", self._asker)
        return found
