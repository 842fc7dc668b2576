"""A reward service of UniRL that reads latents, named as a hydra target.

    reward: {_target_: dina_lrm.integrations.unirl.DinaService, model: synthetic, noise_level: 0.4}

UniRL's backends get texts and decoded media alone; its service sees the whole track, with latents and embeddings. One
service holds one backend, so that this one is the run's only reward.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import torch

from dina_lrm.integrations.given import conditioning_of, levels_of, rows_of, unpacked_latent
from dina_lrm.integrations.scorer import ScorerSettings, shared_scorer
from dina_lrm.serving.items import LatentItem
from dina_lrm.typed import DinaError

_PACKAGE = "unirl"


class DinaScores:
    """What UniRL constructs and calls; `DinaService` is it together with the trainer's own base class.

    `model` is a reward model or remote:http://HOST:PORT; `noise_level` a number in [0, 1], a list for an ensemble, or
    None for the model's own; `seed` draws the noise, common to all samples.
    """

    def __init__(
        self,
        model: str = "synthetic",
        noise_level: object = None,
        seed: int = 0,
        device: str = "auto",
        dtype: str = "auto",
        max_batch: int = 16,
        max_wait_ms: float = 10.0,
    ) -> None:
        super().__init__(backend=_backend()(model_name="dina"))  # type: ignore[call-arg]
        self.levels, self.seed = levels_of(noise_level), seed
        self.settings = ScorerSettings(model, device, dtype, max_batch, max_wait_ms)
        self.scorer = shared_scorer(self.settings)

    def scored(self, track: Any) -> Any:  # noqa: ANN401 - the trainer's RolloutTrack
        """A copy of a track with `rewards` and `component_rewards`; the track itself stays as it is.

        Raises:
            ValueError: without clean latents or text embeddings, and for those that the model cannot read.
            RuntimeError: for a track that has rewards already.
            NoScoreError, RemoteRewardError: no finite score; no server.
        """
        if track.rewards is not None:
            raise RuntimeError("UniRL: the track has rewards already; accepted: one that has none")
        rewards = torch.tensor(self.scorer.scores(self._items(track)), dtype=torch.float32)
        with_field = import_module(f"{_PACKAGE}.types.rollout_resp")._track_with_field
        return with_field(with_field(track, "rewards", rewards), "component_rewards", {"dina": rewards.clone()})

    def _items(self, track: Any) -> list[LatentItem]:  # noqa: ANN401
        told, count = track.conditions.get("text"), len(track.sample_ids)
        if told is None:
            known = ", ".join(track.conditions) or "none"
            raise DinaError(f"UniRL: the track's conditions are {known}; accepted: one called text, with embeddings")
        latents = rows_of("segment.latents", _clean_latents(track.segment), count)
        rows = map(
            conditioning_of,
            rows_of("conditions['text'].embeds", told.embeds, count),
            rows_of("conditions['text'].pooled", told.pooled, count),
            rows_of("conditions['text'].attn_mask", told.attn_mask, count),
        )
        height, width = _size(track.decoded)
        read = (unpacked_latent("segment.latents", latent, height, width) for latent in latents)
        return [LatentItem(latent, row, self.levels, self.seed) for latent, row in zip(read, rows, strict=True)]


def _clean_latents(segment: Any) -> torch.Tensor:  # noqa: ANN401 - the trainer's LatentSegment
    """The last latent of each sample. ValueError where it is not that of the last step."""
    latents = getattr(segment, "latents", None)
    if latents is None:
        raise DinaError("UniRL: the track has no latents; accepted: the track of a diffusion rollout")
    if segment.indices is not None and segment.sigmas is not None and len(segment.indices):
        last, end = int(segment.indices[-1]), len(segment.sigmas) - 1
        if last != end:
            told = f"the last stored latent is that of step {last} of {end}, which has noise"
            raise DinaError(f"UniRL: {told}; accepted: a rollout that stores the last one")
    return latents[:, -1]


def _size(decoded: Any) -> tuple[int, int]:  # noqa: ANN401 - the trainer's Images
    """Height and width of the pictures in pixels, which packed latents do not tell; zeros without pictures."""
    pixels = getattr(decoded, "pixels", None)
    return (0, 0) if pixels is None else (int(pixels.shape[-2]), int(pixels.shape[-1]))


@cache
def _backend() -> type:
    """The backend that a service must have, which is never asked."""

    def compute_rewards(self: object, request: object) -> object:
        raise RuntimeError("UniRL: this reward reads latents; accepted: score_and_attach of the service")

    body = {"compute_rewards": compute_rewards, "is_available": lambda _: True}
    return type("_Latents", (import_module(f"{_PACKAGE}.reward.base").RewardBackend,), body)


@cache
def _service() -> type:
    """The class that the configuration names, made of the trainer's own base class."""
    dispatch = import_module(f"{_PACKAGE}.distributed.group.dispatch")

    def score_and_attach(self: DinaScores, *, req: object, track: object) -> object:
        return self.scored(track)

    spread = dispatch.distributed(dispatch_mode=dispatch.Dispatch.DP_SCATTER)(score_and_attach)
    body = {"__module__": __name__, "__doc__": DinaScores.__doc__, "score_and_attach": spread}
    return type("DinaService", (DinaScores, import_module(f"{_PACKAGE}.reward.service").RewardService), body)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's
    if name == "DinaService":
        return _service()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers DinaService")
