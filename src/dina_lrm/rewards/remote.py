"""A latent reward model on another machine, over HTTP (protocol version "1").

    POST URL/v1/score    one safetensors blob: latents, prompt_embeds, pooled_prompt_embeds, u, seeds
    200                  {"protocol_version": "1", "raw_scores": [...]}

The server adds the noise: `u` is the noise level at which it reads clean latents, `seeds` draws the noise of each.
There is no gradient. A server that is slow, busy or gone is asked again, with growing pauses; then the run stops and
says so. An answer counts when it is exactly that: one number a latent that a float32 holds.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, NoReturn, final

import torch
from jaxtyping import Float32
from safetensors.torch import save
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.base import BoundReward, HostGenerator, RewardKind, Scores
from dina_lrm.rewards.bounded_http import Address, Answer, Failure, ask, printable, shown_url
from dina_lrm.runs.json_files import parse_json
from dina_lrm.typed import DinaError

VERSION: Final = "1"
_HEADERS: Final = {"content-type": "application/octet-stream", "x-drm-protocol-version": VERSION}
_AGAIN: Final = (429, 502, 503, 504)
_LEVEL: Final = 0.4
_BYTES: Final = 1 << 16
_BYTES_A_SCORE: Final = 64
_LONGEST_PAUSE: Final = 60.0
_TRIES_WHERE_NOBODY_IS: Final = 3
_LARGEST: Final = torch.finfo(torch.float32).max


class RemoteRewardError(RuntimeError):
    """A remote reward that could not be reached, or whose answer is no answer."""


@final
@dataclass(frozen=True, eq=False)
class RemoteReward:
    """Raw scores of clean latents by the server at `url`; not differentiable.

    `encode` makes the conditioning of prompts as the generator has it. `timeout` is that of each attempt, in seconds,
    for connecting, sending and reading together; `retries` attempts follow the first, fewer where nobody listens. A
    name and password in `url` are sent to the server and shown nowhere. Proxies of the environment are not used.
    """

    url: str = field(repr=False)
    noise_level: float | None = None
    encode: Callable[[list[str]], Conditioning] | None = None
    timeout: float = 60.0
    retries: int = 4
    backoff: float = 0.5
    """Seconds before the second retry; each pause is twice as long as that before, and at most `timeout`."""
    _address: Address = field(init=False, repr=False)
    kind: ClassVar[RewardKind] = "latent"
    differentiable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_address", Address.of(self.url))
        except ValueError as error:
            raise DinaError(
                f"{self.name}: no address; accepted: remote:http://HOST:PORT, or https, with a port of 1 to 65535"
            ) from error
        if not (0 < self.timeout < math.inf and self.retries >= 0 and 0 <= self.backoff < math.inf):
            raise DinaError(
                f"{self.name}: timeout {self.timeout}, retries {self.retries}, backoff {self.backoff}; accepted: "
                "above 0, 0 up, 0 up"
            )

    @classmethod
    def load(cls, model: str) -> RemoteReward:
        """The server at an address such as "http://localhost:8000", which must be ready.

        Raises:
            ValueError: for what is no address.
            RemoteRewardError: when it is not ready.
        """
        reward = cls(model)
        reward.check_ready()
        return reward

    @property
    def name(self) -> str:
        """With its address, without a password."""
        return f"remote:{shown_url(self.url)}"

    def read_at(self, noise_level: float | tuple[float, ...]) -> RemoteReward:
        """Return the same reward, reading at another level. ValueError for several: the protocol has one."""
        if isinstance(noise_level, tuple):
            raise DinaError(f"reward {self.name!r}: noise_level {noise_level}; accepted: one level, or None")
        return replace(self, noise_level=noise_level)

    def bound_to(self, generator: HostGenerator) -> BoundReward:
        """Bind to a generator, whose latents and conditioning are sent as they are."""
        return _BoundRemote(self, generator)

    def check_ready(self) -> None:
        """Ask for its health. RemoteRewardError when it does not answer 200."""
        self._answer("GET", "/healthz")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of latents in the generator's scaled space, each with the noise of seed 0.

        Raises:
            ValueError: without `encode`.
            RemoteRewardError: see `score`.
        """
        if self.encode is None:
            raise DinaError(
                f"{self.name}: reads latents with their conditioning; accepted in `align`, `sample`, or with encode"
            )
        return self.score(inputs, self.encode(list(prompts)))

    def score(
        self, latents: Float32[Tensor, "batch channels height width"], conditioning: Conditioning, seed: int = 0
    ) -> Float32[Tensor, " batch"]:
        """Raw scores of clean latents. `seed` draws the noise, common to all.

        Raises:
            RemoteRewardError: when the server was not reached in any attempt, refused the request, speaks another
                protocol, or answered with another number of scores or one that is not finite.
        """
        count = len(latents)
        level = _LEVEL if self.noise_level is None else self.noise_level
        if conditioning.pooled_prompt_embeds is None:
            raise DinaError(f"{self.name}: the protocol needs pooled prompt embeddings, and this generator has none")
        blob = {
            "latents": latents,
            "prompt_embeds": conditioning.prompt_embeds,
            "pooled_prompt_embeds": conditioning.pooled_prompt_embeds,
            "u": torch.full((count,), level, dtype=torch.float32),
            "seeds": torch.full((count,), seed, dtype=torch.int64),
        }
        body = save({name: tensor.detach().cpu().contiguous() for name, tensor in blob.items()})
        answer = self._answer("POST", "/v1/score", body, _BYTES + _BYTES_A_SCORE * count)
        return torch.tensor(self._scores(answer, count), dtype=torch.float32, device=latents.device)

    def _scores(self, answer: Answer, count: int) -> list[float]:
        told = printable(answer.body)
        try:
            values = parse_json(answer.body, "its answer")
        except ValueError as error:
            raise RemoteRewardError(f"{self.name}: no scores in '{told}' ({printable(str(error))})") from error
        version = values.get("protocol_version") if isinstance(values, dict) else None
        if version is None:
            raise RemoteRewardError(f"{self.name}: no scores and no protocol_version in '{told}'")
        if version != VERSION or not isinstance(version, str):
            raise RemoteRewardError(f"{self.name}: protocol version {_short(version)}; accepted: {VERSION!r}")
        scores = values.get("raw_scores")
        if not isinstance(scores, list):
            raise RemoteRewardError(f"{self.name}: raw_scores is {_short(scores)}; accepted: a list of numbers")
        if len(scores) != count:
            raise RemoteRewardError(f"{self.name}: {len(scores)} scores for {count} latents; accepted: one each")
        bad = next((number for number, score in enumerate(scores) if not _is_score(score)), None)
        if bad is not None:
            raise RemoteRewardError(
                f"{self.name}: score {bad} is {_short(scores[bad])}; accepted: numbers that a float32 holds"
            )
        return [float(score) for score in scores]

    def _answer(self, method: str, path: str, body: bytes | None = None, most_bytes: int = _BYTES) -> Answer:
        attempts = 1 + self.retries
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                answer = ask(self._address, method, path, body, _HEADERS, self.timeout, most_bytes)
            except Failure as error:
                nobody = isinstance(error, OSError) and not isinstance(error, TimeoutError | ConnectionResetError)
                if last or isinstance(error, ssl.SSLError) or (nobody and attempt >= _TRIES_WHERE_NOBODY_IS):
                    self._give_up(error, attempt)
                self._pause(attempt, None)
                continue
            if last or answer.status not in _AGAIN:
                return self._checked(answer)
            self._pause(attempt, answer.wait())
        raise AssertionError("an attempt returns or raises")

    def _give_up(self, error: Exception, attempts: int) -> NoReturn:
        where, tries = self._address, f"{attempts} attempt{'' if attempts == 1 else 's'}"
        if isinstance(error, ConnectionRefusedError):
            told = f"{tries}: {where} refused the connection; is the server running there?"
        elif isinstance(error, TimeoutError):
            told = f"{tries} of {self.timeout:g} s"
        else:
            told = f"{tries}: {where}: {printable(str(error)) or type(error).__name__}"
        raise RemoteRewardError(f"{self.name}: no answer in {told}") from error

    def _checked(self, answer: Answer) -> Answer:
        said = f"{self.name}: {answer.status} {printable(answer.reason, 80)}"
        if 300 <= answer.status < 400:
            place = printable(answer.headers.get("location", ""))
            raise RemoteRewardError(f"{said}: sends to {place!r}; redirects are not followed: give the final address")
        if answer.status != 200:
            raise RemoteRewardError(f"{said}: {printable(answer.body)}")
        coding = answer.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise RemoteRewardError(f"{said}: its body is {printable(coding, 80)}; accepted: no compression")
        if answer.longer:
            raise RemoteRewardError(f"{said}: more than the {len(answer.body):,} bytes that scores can take")
        return answer

    def _pause(self, attempt: int, asked: float | None) -> None:
        """The first retry follows at once, the others after pauses that double; as long as asked for, within limits."""
        own = 0.0 if attempt == 1 else self.backoff * 2 ** min(attempt - 2, 20)
        time.sleep(min(max(own, asked or 0.0), self.timeout, _LONGEST_PAUSE))


@final
class _BoundRemote(BoundReward):
    """Scores of a server, with the conditioning of one generator."""

    def __init__(self, reward: RemoteReward, generator: HostGenerator) -> None:
        self._reward, self._generator = reward, generator

    def raw(self, latents: Tensor, prompts: Sequence[str], seed: int, conditioning: Conditioning | None) -> Scores:
        """Score on the server."""
        told = self._generator.encode_prompts(prompts) if conditioning is None else conditioning
        return self._reward.score(latents.float(), told, seed)


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _short(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, int) and abs(value) > 10**30:  # as text it may be too long to be made
        return "a number of more than 30 digits"
    return printable(repr(value), 80)
