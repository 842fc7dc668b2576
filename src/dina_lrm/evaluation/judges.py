"""Whatever is measured: latent reward models at their noise levels, and rewards that look at pictures.

A judge gives scores for the pairs of a set. A new kind of judge is a class that fits `Judge`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import expit
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.encoding.comparisons import encode_comparisons
from dina_lrm.data.encoding.loading import load_or_fault
from dina_lrm.data.plain import PlainComparisons
from dina_lrm.evaluation.readings import PairScores, Reading
from dina_lrm.evaluation.rendered import RenderedComparisons
from dina_lrm.evaluation.scoring import ReportProgress, every_score, pair_scores, readings_of
from dina_lrm.evaluation.sets import Comparisons, EvaluationSet
from dina_lrm.evaluation.uncertainty import UncertaintyRow, every_draw, uncertainty_of
from dina_lrm.images import load_pixels
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.addresses import without_password
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.names import load_reward
from dina_lrm.typed import DinaError

PLAIN: Final = Reading(())
"""The reading of a judge that has no noise level."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores of all pairs of a set, what single noise draws differ by where several were asked for, and sentences that
    reports must show.
    """

    scores: PairScores
    uncertainty: tuple[UncertaintyRow, ...] = ()
    notes: tuple[str, ...] = ()


@runtime_checkable
class Judge(Protocol):
    """Something that scores both images of every pair of a set."""

    @property
    def name(self) -> str:
        """How reports call it."""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The ways in which a score is read off it."""

    @property
    def reference(self) -> Reading:
        """The reading that stands for it."""

    def describe(self) -> dict[str, Any]:
        """All that its scores depend on, as plain values."""

    def scores(self, item: EvaluationSet, seed: int, progress: ReportProgress | None = None) -> Judged:
        """Scores of every pair, NaN where an image could not be read or judged."""


EncodedSets = dict[tuple[object, ...], EncodedComparisons]
"""Sets that were encoded for a generator, so that several models on it share them."""


Passes = dict[tuple[str, int], tuple[Tensor, np.ndarray]]
"""By content of comparisons and seed: all scores of a model of those that can be read, and which rows these are."""


@final
@dataclass(eq=False)
class LatentJudge:
    """A latent reward model at several noise levels and ensembles, in one pass; None = those stored with it.

    `antithetic` draws are a noise and its negative by turns. They are not independent: what single draws differ by is
    not measured on them. Judges of several scores of one model that share `passes` read a set once for all of them, the
    whole that its parts were taken out of.
    """

    model: LatentRewardModel
    name: str = "model"
    levels: Sequence[float] | None = None
    ensembles: Sequence[Sequence[float]] | None = None
    batch_size: int = 64
    draws: int = 1
    encoded: EncodedSets = field(default_factory=dict)
    antithetic: bool = False
    passes: Passes | None = None

    def __post_init__(self) -> None:
        if self.draws < 1 or (self.antithetic and self.draws % 2):
            accepted = "an even number, since antithetic draws come in twos" if self.antithetic else "at least 1"
            raise DinaError(f"draws is {self.draws}; accepted: {accepted}")
        config = self.model.config
        self.readings = readings_of(
            [config.noise_level] if self.levels is None else self.levels,
            [config.ensemble_levels] if self.ensembles is None else self.ensembles,
        )
        own = Reading((float(config.noise_level),))
        self.reference = own if own in self.readings else self.readings[0]

    def describe(self) -> dict[str, Any]:
        """The model's own description."""
        return self.model.describe()

    def scores(self, item: EvaluationSet, seed: int, progress: ReportProgress | None = None) -> Judged:
        """Scores in one pass over the data for each draw; a plain set is encoded first, once for each generator."""
        return replace(self._scores(item, seed, progress), notes=self._unread(item.data.prompts))

    def _scores(self, item: EvaluationSet, seed: int, progress: ReportProgress | None) -> Judged:
        pairs = len(item.data)
        whole, rows = item.data, np.arange(pairs)
        if self.passes is not None and item.part is not None:
            whole, rows = item.part.of, item.part.rows
        drawn, numbers = self._drawn(item.name, whole, seed, progress)
        there = np.isin(numbers, rows)
        found = self._judged(self.model.main_of(drawn)[:, :, there])
        places = np.searchsorted(rows, numbers[there])
        if np.array_equal(places, np.arange(pairs)):
            return found
        return Judged(_spread(found.scores, places, pairs), found.uncertainty)

    def _drawn(
        self, name: str, data: Comparisons, seed: int, progress: ReportProgress | None
    ) -> tuple[Float[Tensor, "draws 2 pairs readings scores"], np.ndarray]:
        """All scores of the pairs that can be read, and the rows of `data` that these are."""
        key = (data.content_hash, seed)
        if self.passes is not None and key in self.passes:
            return self.passes[key]
        encoded, numbers = self._encoded(name, data, progress)
        settings = (self.batch_size, seed, progress)
        if self.draws == 1:
            drawn = every_score(self.model, encoded, self.readings, *settings)[None]
        else:
            drawn = every_draw(self.model, encoded, self.readings, self.draws, *settings, self.antithetic)
        if self.passes is not None:
            self.passes[key] = (drawn, numbers)
        return drawn, numbers

    def _encoded(
        self, name: str, data: Comparisons, progress: ReportProgress | None
    ) -> tuple[EncodedComparisons, np.ndarray]:
        if isinstance(data, PlainComparisons):
            found = self._encode(name, data, progress)
            return found, found.pairs.number.numpy()
        found = data.encoded(progress) if isinstance(data, RenderedComparisons) else data
        return found, np.arange(len(found))

    def _unread(self, prompts: Sequence[str]) -> tuple[str, ...]:
        told = [sentence for sentence in self.model.backbone.unread_prompts(prompts) if sentence is not None]
        return (f"{len(told)} of {len(prompts)} prompts are not read whole, such as {told[0]}",) if told else ()

    def _judged(self, drawn: Float[Tensor, "draws 2 pairs readings"]) -> Judged:
        if self.draws == 1:
            return Judged(pair_scores(self.model, self.readings, drawn[0]))
        values = drawn.double().numpy()
        mean = torch.from_numpy(values.mean(axis=0))
        uncertainty = () if self.antithetic else uncertainty_of(values, self.readings)
        return Judged(pair_scores(self.model, self.readings, mean), uncertainty)

    def _encode(self, name: str, data: PlainComparisons, progress: ReportProgress | None) -> EncodedComparisons:
        backbone, sizes = self.model.backbone, self.model.config.sizes
        config = backbone.config
        prompts = (config.prompt_length, config.prompt_padding)
        key = (name, data.content_hash, config.pretrained, prompts, sizes)
        if key not in self.encoded:
            self.encoded[key] = encode_comparisons(data, backbone, resolution=sizes, progress=progress)
        return self.encoded[key]


_Looked = tuple[int, int, int]
"""Bucket and row of an image, and the row of the prompt that it is judged for."""


def _spread(scores: PairScores, rows: np.ndarray, pairs: int) -> PairScores:
    """Scores of some rows as scores of all pairs, NaN elsewhere."""

    def whole(values: np.ndarray) -> np.ndarray:
        out = np.full((pairs, values.shape[1]), np.nan)
        out[rows] = values
        return out

    first, second, probability = (whole(values) for values in (scores.first, scores.second, scores.probability))
    return PairScores(scores.readings, first, second, probability, scores.link)


@final
@dataclass(eq=False)
class PictureJudge:
    """A reward that reads pixels. Its win probability is the logistic function of the score difference."""

    reward: Reward
    name: str = ""
    batch_size: int = 16
    workers: int = 4

    def __post_init__(self) -> None:
        if self.reward.kind != "pixel":
            raise DinaError(f"{self.reward.name} reads latents; accepted here: rewards that read pixels")
        self.name = self.name or self.reward.name
        self.readings = (PLAIN,)
        self.reference = PLAIN

    def describe(self) -> dict[str, Any]:
        """Name and kind."""
        return {"reward": self.reward.name, "kind": "pixel", "differentiable": self.reward.differentiable}

    def scores(self, item: EvaluationSet, seed: int, progress: ReportProgress | None = None) -> Judged:
        """Scores of every pair; each image is read and judged once for each prompt of a batch."""
        sides = np.full((2, len(item.data), 1), np.nan)
        done = 0
        with ThreadPoolExecutor(self.workers) as pool:
            for rows in _prompt_batches(item, self.batch_size):
                sides[:, rows, 0] = self._batch(item, rows, pool)
                done += len(rows)
                if progress is not None:
                    progress(done, len(item.data))
        margins = sides[0] - sides[1]
        return Judged(PairScores(self.readings, sides[0], sides[1], expit(margins), lambda m, column: expit(m)))

    def _batch(self, item: EvaluationSet, rows: np.ndarray, pool: ThreadPoolExecutor) -> Float[np.ndarray, "2 pairs"]:
        pairs = item.data.pairs
        prompts = pairs.prompt[rows].tolist()
        a, b = (
            list(zip(bucket[rows].tolist(), image[rows].tolist(), prompts, strict=True))
            for bucket, image in ((pairs.bucket_a, pairs.image_a), (pairs.bucket_b, pairs.image_b))
        )
        wanted: dict[_Looked, Callable[[], Tensor | str]] = {}
        for row, *sides in zip(rows.tolist(), a, b, strict=True):
            for side, key in enumerate(sides):
                wanted.setdefault(key, partial(_pixels, item, row, side, key[1]))
        loaded = dict(zip(wanted, pool.map(lambda load: load(), wanted.values()), strict=True))
        scores = self._scores({key: pixels for key, pixels in loaded.items() if isinstance(pixels, Tensor)}, item)
        return np.array([[scores.get(key, np.nan) for key in side] for side in (a, b)])

    @torch.no_grad()
    def _scores(self, loaded: dict[_Looked, Tensor], item: EvaluationSet) -> dict[_Looked, float]:
        by_size: dict[tuple[int, ...], list[_Looked]] = {}
        for key, pixels in loaded.items():
            by_size.setdefault(tuple(pixels.shape), []).append(key)
        scores: dict[_Looked, float] = {}
        for keys in by_size.values():
            prompts = [item.data.prompts[prompt] for _, _, prompt in keys]
            found = self.reward(torch.stack([loaded[key] for key in keys]), prompts)
            scores.update(zip(keys, found.tolist(), strict=True))
        return scores


def _prompt_batches(item: EvaluationSet, batch_size: int) -> Iterator[np.ndarray]:
    """Rows of pairs, those of a prompt side by side."""
    order = np.argsort(item.data.pairs.prompt.numpy(), kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _pixels(item: EvaluationSet, row: int, side: int, image: int) -> Tensor | str:
    """The image in [0, 1], (3, h, w), or why it cannot be read."""
    if isinstance(item.data, PlainComparisons):
        found = load_or_fault(item.data.sources[image])
        return found if isinstance(found, str) else load_pixels(found)
    if item.pictures is None:
        raise DinaError(f"set {item.name!r} holds latents only; a judge of pictures needs the images: give its file")
    return load_pixels(item.pictures(row)[side])


def picture_judge(name: str, batch_size: int = 16) -> PictureJudge:
    """The judge of a reward's name, such as "clip:MODEL" or "sharpness".

    Raises ValueError when its weights are not there, or it reads latents.
    """
    return PictureJudge(load_reward(name), without_password(name), batch_size)
