"""A latent reward model on another machine, over HTTP (protocol version "1").

    POST URL/v1/score    one safetensors blob: latents, prompt_embeds, pooled_prompt_embeds, u, seeds
    200                  {"protocol_version": "1", "raw_scores": [...]}

The server adds the noise: `u` is the noise level at which it reads clean latents, `seeds` draws the noise of each.
There is no gradient. A server that is slow, busy or gone is asked again, with growing pauses; then the run stops and
says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final
from urllib.parse import urlsplit

import requests
import torch
from jaxtyping import Float32
from requests.adapters import HTTPAdapter
from safetensors.torch import save
from torch import Tensor
from urllib3.util import Retry

from dina_lrm.backbones.base import Conditioning
from dina_lrm.rewards.base import RewardKind

VERSION: Final = "1"
_HEADERS: Final = {"content-type": "application/octet-stream", "x-drm-protocol-version": VERSION}
_AGAIN: Final = (429, 502, 503, 504)
_LEVEL: Final = 0.4
_REASON: Final = 300


class RemoteRewardError(RuntimeError):
    """A remote reward that could not be reached, or whose answer is no answer."""


@final
@dataclass(frozen=True, eq=False)
class RemoteReward:
    """Raw scores of clean latents by the server at `url`; not differentiable.

    `encode` makes the conditioning of prompts as the generator has it. `timeout` is that of each attempt, in seconds;
    `retries` attempts follow the first.
    """

    url: str
    noise_level: float | None = None
    encode: Callable[[list[str]], Conditioning] | None = None
    timeout: float = 60.0
    retries: int = 4
    backoff: float = 0.5
    """Seconds before the second retry; each pause is twice as long as that before."""
    kind: ClassVar[RewardKind] = "latent"
    differentiable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"remote:{self.url}: no address; accepted: remote:http://HOST:PORT")
        if not (0 < self.timeout < math.inf and self.retries >= 0):
            raise ValueError(
                f"remote:{self.url}: timeout {self.timeout}, retries {self.retries}; accepted: above 0, 0 up"
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
        """With its address."""
        return f"remote:{self.url}"

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
            raise ValueError(
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
            raise ValueError(f"{self.name}: the protocol needs pooled prompt embeddings, and this generator has none")
        blob = {
            "latents": latents,
            "prompt_embeds": conditioning.prompt_embeds,
            "pooled_prompt_embeds": conditioning.pooled_prompt_embeds,
            "u": torch.full((count,), level, dtype=torch.float32),
            "seeds": torch.full((count,), seed, dtype=torch.int64),
        }
        body = save({name: tensor.detach().cpu().contiguous() for name, tensor in blob.items()})
        return torch.tensor(self._scores(self._answer("POST", "/v1/score", body), count), device=latents.device)

    def _scores(self, answer: requests.Response, count: int) -> list[float]:
        try:
            values: Any = answer.json()
            version, scores = values["protocol_version"], [float(score) for score in values["raw_scores"]]
        except (ValueError, KeyError, TypeError) as error:
            raise RemoteRewardError(f"{self.name}: no scores in {answer.text[:_REASON]!r} ({error!r})") from error
        if version != VERSION:
            raise RemoteRewardError(f"{self.name}: protocol version {version!r}; accepted: {VERSION!r}")
        if len(scores) != count:
            raise RemoteRewardError(f"{self.name}: {len(scores)} scores for {count} latents; accepted: one each")
        bad = next((number for number, score in enumerate(scores) if not math.isfinite(score)), None)
        if bad is not None:
            raise RemoteRewardError(f"{self.name}: score {bad} is {scores[bad]}; accepted: finite numbers")
        return scores

    def _answer(self, method: str, path: str, body: bytes | None = None) -> requests.Response:
        again = Retry(
            total=self.retries,
            backoff_factor=self.backoff,
            status_forcelist=_AGAIN,
            allowed_methods=None,
            raise_on_status=False,
        )
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=again))
            try:
                answer = session.request(
                    method, self.url.rstrip("/") + path, data=body, headers=_HEADERS, timeout=self.timeout
                )
            except requests.RequestException as error:
                raise RemoteRewardError(
                    f"{self.name}: no answer in {1 + self.retries} attempts of {self.timeout:g} s ({error})"
                ) from error
        if answer.status_code != 200:
            raise RemoteRewardError(f"{self.name}: {answer.status_code} {answer.reason}: {answer.text[:_REASON]}")
        return answer
