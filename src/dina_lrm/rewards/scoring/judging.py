"""What scores the pictures of a table: a latent reward model, or any reward that reads pixels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, final, runtime_checkable

import torch
from PIL import Image
from torch import Tensor

from dina_lrm.backbones.settings import EncoderSettings, T5Weights
from dina_lrm.data.buckets import Bucket
from dina_lrm.data.cache.generator_content import generator_content
from dina_lrm.images import image_pixels
from dina_lrm.locate import locate_reward_model, split_score
from dina_lrm.reward_model.checks import NoiseLevels, checked_levels
from dina_lrm.reward_model.inputs import PromptTruncatedWarning
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.addresses import without_password
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.contents import content_of_reward, weights_hash
from dina_lrm.rewards.names import is_reward, load_reward, parsed_name
from dina_lrm.rewards.scoring.batches import BatchScorer
from dina_lrm.rewards.scoring.score import PictureScore
from dina_lrm.typed import DinaError

_PIXELS_AT_ONCE: Final = 4_000_000
"""Of all pictures that a reward reads together: photographs in their full size come one by one."""


@runtime_checkable
class Scorer(Protocol):
    """Scores pictures batch by batch.

    `truncated` has a sentence for each prompt that is not read to its end, `unread` one for each in which something
    cannot be read. `names` are those of the scores that every picture gets by name; none for a single score.
    """

    names: Sequence[str]
    truncated: dict[str, str]
    unread: dict[str, str]

    @property
    def buckets(self) -> Sequence[Bucket] | None:
        """Sizes that pictures are brought to before they come here; None where they come in their own."""

    def expect(self, prompts: Sequence[str]) -> None:
        """Prompts that pictures to come are scored for, in order."""

    def __call__(self, images: Sequence[Image.Image | Tensor], prompts: Sequence[str]) -> list[PictureScore | str]:
        """The score of each picture, or why there is none."""


@final
class RewardScorer:
    """Scores of a reward that reads pixels; pictures of one size are read together."""

    def __init__(self, reward: Reward) -> None:
        if reward.kind != "pixel":
            raise DinaError(f"{reward.name} reads latents; accepted here: rewards that read pictures")
        self.reward = reward
        self.buckets: Sequence[Bucket] | None = None
        self.names: Sequence[str] = ()
        self.truncated: dict[str, str] = {}
        self.unread: dict[str, str] = {}

    def expect(self, prompts: Sequence[str]) -> None:
        """Pictures and prompts are read together: there is nothing to do before."""

    def __call__(self, images: Sequence[Image.Image | Tensor], prompts: Sequence[str]) -> list[PictureScore | str]:
        """The score of each picture in the reward's own scale, without a z, or why it gives none."""
        scores: list[PictureScore | str] = ["no score"] * len(images)
        for rows in _together(images):
            found = self._scores([images[row] for row in rows], [prompts[row] for row in rows])
            for row, score in zip(rows, found, strict=True):
                scores[row] = score
        return scores

    def _scores(self, images: Sequence[Image.Image | Tensor], prompts: Sequence[str]) -> list[PictureScore | str]:
        try:
            with torch.no_grad(), warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", PromptTruncatedWarning)
                found = self.reward(torch.stack([_pixels(image) for image in images]), list(prompts))
        except ValueError as error:
            if len(images) == 1:
                return [str(error)]
            pairs = zip(images, prompts, strict=True)
            return [score for image, prompt in pairs for score in self._scores([image], [prompt])]
        for one in said:
            if issubclass(one.category, PromptTruncatedWarning):
                self.truncated.update(dict.fromkeys(prompts, str(one.message)))
            else:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        return [PictureScore(score) for score in found.cpu().double().tolist()]


def scorer_named(
    name: str,
    *,
    noise_level: NoiseLevels | None = None,
    seed: int = 0,
    backbone: str | None = None,
    revision: str | None = None,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    encoders: EncoderSettings | None = None,
    t5_weights: T5Weights | None = None,
) -> tuple[Scorer, Mapping[str, Any]]:
    """The scorer of a name, and what its scores depend on, as plain values.

    A name is that of a latent reward model ("synthetic", a folder, a hub id, also behind `image:` or `latent:`), or of
    a reward such as "clip:MODEL" or "sharpness". A model of several named scores gives all of them from one pass, one
    that is asked for a score (FOLDER?score=NAME) or a weighted sum that alone.
    Raises ValueError for an unknown name, and for settings of a latent model that are given with a reward.
    """
    if is_reward(name):
        given = {"noise level": noise_level, "backbone": backbone, "revision": revision, "t5 weights": t5_weights}
        for what, value in given.items():
            if value is not None and not (what == "noise level" and parsed_name(name)[0] == "remote"):
                raise DinaError(f"{name}: {what} {value!r}; accepted with a latent reward model, which reads noise")
        levels_read = tuple(noise_level) if isinstance(noise_level, Sequence) else noise_level
        reward = load_reward(name, noise_level=levels_read)
        shown = without_password(name)
        made_by = {"model": shown, "weights": content_of_reward(reward), "generator": None, "noise_level": noise_level}
        return RewardScorer(reward), {**made_by, "seed": seed}
    family, _, rest = name.partition(":")
    bare = rest if family in ("latent", "image") and rest else name
    folder = locate_reward_model(bare, revision)
    score = split_score(bare)[1]
    model = LatentRewardModel.from_pretrained(
        folder if score is None else f"{folder}?score={score}",
        backbone=backbone,
        device=device,
        dtype=dtype,
        encoders=encoders,
        t5_weights=t5_weights,
    )
    levels = checked_levels("score_files", noise_level, model.config.noise_level)
    used = model.config.backbone
    generator = generator_content(used.pretrained, used.revision, used.prompt_length) or used.pretrained
    told: dict[str, Any] = {"model": name, "weights": weights_hash(folder), "generator": generator}
    told["noise_level"] = list(levels)
    if dtype is not None:  # else it is the device's own, as it was for tables of earlier versions
        told["dtype"] = str(dtype).removeprefix("torch.")
    if used.t5_weights != "stored":
        told["t5_weights"] = used.t5_weights
    scorer = BatchScorer(model, levels, seed, by_name=score is None)
    if scorer.names:
        told["scores"] = list(scorer.names)
    return scorer, {**told, "seed": seed}


@dataclass(frozen=True)
class NamedScorer:
    """What `scorer_named` is told, as plain values: whoever scores, here or on another machine, loads it there."""

    name: str
    noise_level: NoiseLevels | None = None
    seed: int = 0
    backbone: str | None = None
    revision: str | None = None
    device: str | None = None
    dtype: torch.dtype | None = None
    encoders: EncoderSettings | None = None
    t5_weights: T5Weights | None = None

    def load(self) -> tuple[Scorer, Mapping[str, Any]]:
        """The scorer, and what its scores depend on. Raises ValueError as `scorer_named`."""
        return scorer_named(
            self.name,
            noise_level=self.noise_level,
            seed=self.seed,
            backbone=self.backbone,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            encoders=self.encoders,
            t5_weights=self.t5_weights,
        )


def _together(images: Sequence[Image.Image | Tensor]) -> list[list[int]]:
    """Places of pictures of one size, no more in a list than are read at once."""
    lists: list[list[int]] = []
    open_lists: dict[tuple[int, int], list[int]] = {}
    for row, image in enumerate(images):
        size = (image.shape[2], image.shape[1]) if isinstance(image, Tensor) else image.size
        rows = open_lists.get(size)
        if rows is None or (len(rows) + 1) * size[0] * size[1] > _PIXELS_AT_ONCE:
            rows = open_lists[size] = []
            lists.append(rows)
        rows.append(row)
    return lists


def _pixels(image: Image.Image | Tensor) -> Tensor:
    return image if isinstance(image, Tensor) else image_pixels(image)
