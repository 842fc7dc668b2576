"""Scores of batches of images in a long run: a prompt is encoded once, and one bad item costs only itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import final

from PIL import Image
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.buckets import Bucket, nearest_bucket
from dina_lrm.reward_model.inputs import ResizeWarning
from dina_lrm.reward_model.kept_prompts import KeptPrompts
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.scoring.score import NamedScore, PictureScore

KEPT_BYTES = 96 << 20
"""Bytes of prompts whose conditioning is kept between batches: Stable Diffusion 3.5's takes 3 MiB each."""


@final
class BatchScorer:
    """Raw scores as `LatentRewardModel.score` gives them, batch after batch.

    `truncated` has a sentence for each prompt that the model does not read to its end, `unread` one for each in which
    it cannot read something. With `by_name` pictures get all of a model's named scores too, from the same pass; `names`
    are theirs, none where the model has a single score or is a weighted sum.
    """

    def __init__(self, model: LatentRewardModel, levels: Sequence[float], seed: int, by_name: bool = True) -> None:
        self.model, self.levels, self.seed = model, tuple(levels), seed
        self.names: Sequence[str] = model.config.scores if by_name and not model.weights else ()
        self.truncated: dict[str, str] = {}
        self.unread: dict[str, str] = {}
        # One by one: a table must not depend on where a run was stopped, or on which worker had a batch
        self._kept = KeptPrompts(model, KEPT_BYTES, one_by_one=True)

    @property
    def buckets(self) -> Sequence[Bucket]:
        """Sizes that pictures are brought to before they come here."""
        return self.model.buckets

    def expect(self, prompts: Sequence[str]) -> None:
        """Prompts that pictures to come are scored for, in order."""
        self._kept.expect(prompts)

    def __call__(self, images: Sequence[Image.Image | Tensor], prompts: Sequence[str]) -> list[PictureScore | str]:
        """The score of each image (RGB, or pixels (3, h, w) in [0, 1]), or why the model gives none."""
        try:
            return [*self._scores(images, prompts)]
        except ValueError as error:
            if len(images) == 1:
                return [str(error)]
            pairs = zip(images, prompts, strict=True)
            return [score for image, prompt in pairs for score in self([image], [prompt])]

    def _scores(self, images: Sequence[Image.Image | Tensor], prompts: Sequence[str]) -> list[PictureScore]:
        buckets: dict[Bucket, list[int]] = {}
        for row, image in enumerate(images):
            buckets.setdefault(nearest_bucket(_size(image), self.model.buckets), []).append(row)
        scores: list[PictureScore] = [PictureScore(0.0)] * len(images)
        for rows in buckets.values():
            conditioning = self._conditioning([prompts[row] for row in rows])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResizeWarning)
                latents = self.model.encode_images([images[row] for row in rows], batch_size=len(rows))
            for row, score in zip(rows, self._read(latents, conditioning), strict=True):
                scores[row] = score
        return scores

    def _read(self, latents: Tensor, conditioning: Conditioning) -> list[PictureScore]:
        named = self.model.latent_scores(latents, conditioning, self.levels, seed=self.seed)
        main, scales = self.model.main_among(named), self.model.config.scales
        z = self.model.normalize(main).tolist()
        own = {name: ((named[name] - scales[name].mean) / scales[name].std).tolist() for name in self.names}
        raw = {name: named[name].tolist() for name in self.names}
        return [
            PictureScore(score, z[row], {name: NamedScore(raw[name][row], own[name][row]) for name in self.names})
            for row, score in enumerate(main.tolist())
        ]

    def _conditioning(self, prompts: Sequence[str]) -> Conditioning:
        rows = self._kept.take(prompts)
        self.truncated.update({prompt: row.cut for prompt, row in zip(prompts, rows, strict=True) if row.cut})
        self.unread.update({prompt: row.unread for prompt, row in zip(prompts, rows, strict=True) if row.unread})
        return Conditioning.cat([row.conditioning for row in rows])


def _size(image: Image.Image | Tensor) -> tuple[int, int]:
    """Width and height."""
    return (image.shape[2], image.shape[1]) if isinstance(image, Tensor) else image.size
