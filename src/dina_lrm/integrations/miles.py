"""A reward of miles_diffusion: an async function of samples that `--custom-rm-path` names.

    # dina_miles.py                                         --custom-rm-path dina_miles.score
    from dina_lrm.integrations.miles import reward

    score = reward(model="synthetic", noise_level=0.4)

It is called with the samples of a microgroup, or with `--group-rm` those of a whole group; the scores are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from dina_lrm.integrations.given import latent_of, levels_of, picture_of, unpacked_latent
from dina_lrm.integrations.scorer import Asked, Scorer, ScorerSettings, shared_scorer_soon
from dina_lrm.integrations.worded import WordedItem
from dina_lrm.serving.items import PictureItem
from dina_lrm.typed import DinaError, require

Reading = Literal["latents", "pictures"]


@runtime_checkable
class Sample(Protocol):
    """What is read of a sample of miles_diffusion."""

    prompt: str
    generated_output: Tensor | None
    """The picture (3, 1, height, width), floats in [0, 1] or up to 255, or uint8."""
    dit_trajectory: Any
    """`latents` (steps + 1, ...) with the clean one last, and `sigmas` (steps + 1), the last of which is 0."""


def reward(model: str = "synthetic", *, noise_level: object = None, seed: int = 0, reads: Reading = "latents",
           device: str = "auto", dtype: str = "auto", max_batch: int = 16, max_wait_ms: float = 10.0,
           ) -> Callable[..., Awaitable[list[float]]]:  # fmt: skip
    """The function `async (args, samples, **more) -> list[float]` of raw scores, as miles_diffusion calls it.

    `model` is a reward model, remote:http://HOST:PORT/NAME, or a reward of pictures (with `reads="pictures"`); it is
    loaded at the first call. `noise_level` is a number in [0, 1], a list for an ensemble, or None for the model's own;
    `seed` draws the noise, common to all samples so that those of a group can be compared. Samples without a trajectory
    (those of an evaluation) are read as pictures.

    The function raises ValueError for what the model cannot read, and for a trajectory that does not end at a clean
    latent; NoScoreError and RemoteRewardError without a finite score and without a server.
    """
    settings, levels = ScorerSettings(model, device, dtype, max_batch, max_wait_ms), levels_of(noise_level)
    require(reads in ("latents", "pictures"), "reads", reads, "'latents' or 'pictures'")

    async def score(args: object, samples: Sequence[Sample], **more: object) -> list[float]:
        scorer = await shared_scorer_soon(settings)
        items = [_item(scorer, sample, levels, seed, reads) for sample in samples]
        waiting = [asyncio.wrap_future(scorer.put(item, f"sample {n}: ")) for n, item in enumerate(items)]
        return list(await asyncio.gather(*waiting))

    return score


def _item(scorer: Scorer, sample: Sample, levels: tuple[float, ...], seed: int, reads: Reading) -> Asked:
    # Evaluations of miles_diffusion return no trajectory
    if reads == "latents" and sample.dit_trajectory is not None and sample.dit_trajectory.latents is not None:
        return WordedItem(_clean(sample), sample.prompt, levels, seed)
    if reads == "latents":
        scorer.notice("no_trajectory", "samples came without a trajectory: their pictures are read in its place")
    return PictureItem(picture_of("generated_output", _picture(sample)), sample.prompt, levels, seed)


def _clean(sample: Sample) -> Tensor:
    """The last latent of a trajectory. ValueError where that is not the clean one."""
    latents, sigmas = sample.dit_trajectory.latents, sample.dit_trajectory.sigmas
    if sigmas is None or len(sigmas) != len(latents) or float(sigmas[-1]) != 0:
        last = "no sigmas" if sigmas is None or not len(sigmas) else f"{len(sigmas)} sigmas up to {float(sigmas[-1]):g}"
        raise DinaError(
            f"dit_trajectory: {len(latents)} latents with {last}: the last one is not known to be clean; accepted: as "
            "many of both, the last sigma 0, or reads='pictures'"
        )
    found = latents[-1]
    if found.ndim == 4 and found.shape[1] == 1:  # (channels, one frame, height, width)
        found = found[:, 0]
    if found.ndim == 2 or (found.ndim == 3 and found.shape[0] == 1):
        height, width = _picture(sample).shape[-2:]
        return unpacked_latent("dit_trajectory.latents", found, height, width)
    return latent_of("dit_trajectory.latents", found)


def _picture(sample: Sample) -> Tensor:
    """The picture (3, height, width) of a sample."""
    found = sample.generated_output
    if found is None or found.ndim != 4 or found.shape[1] != 1:
        given = "nothing" if found is None else f"shape {tuple(found.shape)}"
        raise DinaError(f"generated_output: {given}; accepted: one picture, (3, 1, height, width)")
    seen = found[:, 0].detach()
    if seen.is_floating_point() and 1 + 1e-3 < float(seen.max()) < 256:
        return seen.float().round().clamp(0, 255).to(torch.uint8)
    return seen
