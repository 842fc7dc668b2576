"""A picture and a prompt as a reward model reads them: encoded once, with all that was done to them in sentences."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.buckets import Bucket, nearest_bucket
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.images import fit, load_pixels
from dina_lrm.pictures.sources import GivenPicture
from dina_lrm.reward_model.checks import checked_levels, checked_prompts
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.typed import DinaError

AT_ONCE: Final = 8
"""Draws that are scored together."""


@dataclass(frozen=True)
class Reading:
    """How scores are read: at `level` (None is the model's own), over `draws` noises of the seeds from `seed` on."""

    level: float | None = None
    draws: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.draws <= 64 or isinstance(self.draws, bool):
            raise DinaError(f"draws {self.draws}; accepted: whole numbers from 1 to 64")

    def at(self, model: LatentRewardModel) -> float:
        """The noise level. Raises DinaError for one outside [0, 1]."""
        return checked_levels("noise level", self.level, model.config.noise_level)[0]

    def noise(self, latents: Float[Tensor, "1 channels height width"]) -> Float[Tensor, "draws channels height width"]:
        """The draws, on the device of the latents; the first is what `score` adds with the same seed."""
        drawn = [seeded_noise(latents.shape[1:], self.seed + number) for number in range(self.draws)]
        return torch.stack(drawn).to(latents.device)


@dataclass(frozen=True, eq=False)
class GivenPair:
    """A picture for a prompt, encoded; `pixels` are what the model saw of the picture, `notes` what was done to it."""

    pixels: UInt8[np.ndarray, "height width 3"]
    latents: Float[Tensor, "1 channels h w"]
    prompt: str
    conditioning: Conditioning
    notes: tuple[str, ...] = ()


def given_pair(model: LatentRewardModel, picture: GivenPicture, prompt: str) -> GivenPair:
    """Encode a picture and a prompt. Raises ValueError for what is no picture, and for an empty prompt."""
    [text] = checked_prompts("prompt", [prompt])
    with said() as notes:
        pixels = load_pixels(picture)
        height, width = pixels.shape[-2:]
        bucket = nearest_bucket((width, height), model.buckets)
        fitted = fit(pixels, bucket)
        latents = model.encode_images([fitted])
    with said():  # what is not read of a prompt is told by `words.not_read`
        conditioning = model.encode_prompts([text])
    told = () if (width, height) == (bucket.width, bucket.height) else (_fitted(width, height, bucket),)
    shown = (fitted * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return GivenPair(shown, latents, text, conditioning, (*told, *notes))


def scores_of_draws(
    model: LatentRewardModel, pair: GivenPair, reading: Reading, conditioning: Conditioning | None = None
) -> Float[np.ndarray, " draws"]:
    """Raw scores of the pair at one level, one a draw; `conditioning` is that of another prompt in the place of its."""
    return scores_over_levels(model, pair, reading, (reading.at(model),), conditioning)[:, 0]


def scores_over_levels(
    model: LatentRewardModel,
    pair: GivenPair,
    reading: Reading,
    levels: Sequence[float],
    conditioning: Conditioning | None = None,
    progress: ReportProgress = lambda done, total: None,
) -> Float[np.ndarray, "draws levels"]:
    """Raw scores of the pair at each level, a row a draw: every level sees the same draws; `progress` is told them."""
    asked = pair.conditioning if conditioning is None else conditioning
    rows: list[Tensor] = []
    for noise in reading.noise(pair.latents).split(AT_ONCE):
        copies = pair.latents.expand(len(noise), -1, -1, -1)
        rows.append(model.score_levels(copies, asked[[0] * len(noise)], levels, noise=noise).single)
        progress(sum(map(len, rows)), reading.draws)
    return torch.cat(rows).double().cpu().numpy()


@contextmanager
def said() -> Iterator[list[str]]:
    """What is warned of inside, as sentences, each once."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        yield found
    found += dict.fromkeys(str(one.message) for one in heard if issubclass(one.category, UserWarning))


def _fitted(width: int, height: int, bucket: Bucket) -> str:
    return f"The picture of {width} x {height} pixels was scaled and cropped to {bucket}, a size that the model reads."
