"""Score many image files: a batch at a time into a table that grows, every row accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import torch

from dina_lrm.backbones.settings import EncoderSettings, T5Weights
from dina_lrm.engines.settings import RayEngine
from dina_lrm.reward_model.checks import NoiseLevels, checked_batch_size, checked_levels, checked_seed
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.scoring.ahead import ahead
from dina_lrm.rewards.scoring.batches import BatchScorer
from dina_lrm.rewards.scoring.judging import NamedScorer, Scorer
from dina_lrm.rewards.scoring.known import Standing, settled
from dina_lrm.rewards.scoring.loading import Loader, Scores
from dina_lrm.rewards.scoring.log import ScoreLog
from dina_lrm.rewards.scoring.rows import ScoreRow, ScoreRows
from dina_lrm.rewards.scoring.scored import ScoredBatch, scored_batch
from dina_lrm.runs.lock import one_writer

_THREADS: Final = 8
_ROWS_AHEAD: Final = 1024
"""Whose prompts a scorer is told of together."""


@dataclass(frozen=True)
class ScoreSummary:
    """What came of scoring: rows = already + scored + failed; `seconds` are without the loading of the model."""

    rows: int
    already: int
    """Rows whose picture had a score for the prompt before, by its content."""
    scored: int
    failed: int
    """Rows without a score; the table says why."""
    retried: int
    """Rows that had failed before and were tried again."""
    changed: int
    """Rows whose picture is another one now than when it was scored under that name: scored again."""
    unknown: int
    """Rows of a table by an earlier version, which did not say what it had scored: scored again."""
    gone: int
    """Rows whose picture cannot be read any more, and which keep their score; part of `already`."""
    resized: int
    """Pictures that were scaled or cropped to a size that the model reads."""
    unused_profiles: int
    """Pictures whose colour profile cannot be used: their colours were taken as sRGB."""
    truncated: tuple[str, ...]
    """Prompts that the model did not read to their end."""
    unread: tuple[str, ...]
    """What it could not read in prompts: unknown characters, control tokens."""
    seconds: float
    workers: tuple[str, ...] = ()
    """What happened to workers on other processes or machines, in sentences."""

    def notes(self) -> Iterator[str]:
        """All that is not as one would think, in sentences."""
        for count, told in (
            (self.changed, "changed since scored under that name; the row is new"),
            (self.unknown, "of a table by an earlier version, which did not say what it had scored; scored again"),
            (self.gone, "cannot be read any more; the score from before was kept"),
            (self.resized, "resized or cropped to a size that the model reads"),
            (self.unused_profiles, "with a colour profile that cannot be used; taken as sRGB"),
        ):
            if count:
                yield f"{count} {'picture' if count == 1 else 'pictures'}: {told}"
        yield from self.workers
        if self.truncated:
            yield f"{len(self.truncated)} prompts are longer than the model reads, such as {self.truncated[0]!r:.200}"
        if self.unread:
            yield f"{len(self.unread)} prompts are not read whole, such as {self.unread[0]:.200}"


def score_files_by(
    model: str,
    rows: Sequence[ScoreRow] | ScoreRows,
    out: Path,
    *,
    noise_level: NoiseLevels | None = None,
    seed: int = 0,
    batch_size: int = 16,
    backbone: str | None = None,
    revision: str | None = None,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    encoders: EncoderSettings | None = None,
    t5_weights: T5Weights | None = None,
    engine: RayEngine | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreSummary:
    """Score as `score_files` does, by the model or reward of a name, which the table keeps.

    A name is "synthetic", a folder, a hub id, or a reward such as "clip:MODEL" or "sharpness", whose rows have no z.
    `backbone` says where the generator is when it is not where the model says; `dtype` is that of its weights,
    `encoders` and `t5_weights` are as in `LatentRewardModel.from_pretrained`.
    Scores of other weights, of the model or of its generator, are never mixed into a table. With an `engine` workers of
    Ray load the model and score, each on its own default device where `device` is None; the table is the same.
    """
    seed, batch_size = checked_seed("score_files", seed), checked_batch_size("score_files", batch_size)
    named = NamedScorer(model, noise_level, seed, backbone, revision, device, dtype, encoders, t5_weights)
    if engine is not None:
        engine.check()
        from dina_lrm.rewards.scoring.on_ray import score_on_ray

        return score_on_ray(engine, named, rows, out, batch_size, progress)
    scorer, made_by = named.load()
    return score_by(scorer, rows, out, made_by, batch_size, progress)


def score_files(
    model: LatentRewardModel,
    rows: Sequence[ScoreRow] | ScoreRows,
    out: Path,
    *,
    noise_level: NoiseLevels | None = None,
    seed: int = 0,
    batch_size: int = 16,
    made_by: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreSummary:
    """Append the raw score and the z-score of every row to the table `out` (.csv, .jsonl or .parquet).

    A model of several named scores has columns `score.NAME` and `z.NAME` for each of them too, from the same pass.

    A score belongs to a picture's content and its prompt: rows that `out` has scores of are skipped, those whose
    picture is another one now are scored again in the place of the old row, and so are rows that failed. A row whose
    image cannot be read or scored is written with the reason as its `error`. `made_by` names the model; together with
    noise levels and seed it must be what it was when `out` was begun.

    Raises:
        ValueError: `out` was made with other settings, or is no table of scores; a noise level, seed or batch size
            that is none.
        BusyError: another process writes to `out`.
        FileExistsError: nothing says what made `out`.
    """
    levels = checked_levels("score_files", noise_level, model.config.noise_level)
    seed, batch_size = checked_seed("score_files", seed), checked_batch_size("score_files", batch_size)
    scorer = BatchScorer(model, levels, seed)
    by_name = {"scores": list(scorer.names)} if scorer.names else {}
    settings = {**(made_by or {}), **by_name, "noise_level": list(levels), "seed": seed}
    return score_by(scorer, rows, out, settings, batch_size, progress)


def score_by(
    scorer: Scorer,
    rows: Sequence[ScoreRow] | ScoreRows,
    out: Path,
    settings: Mapping[str, Any],
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreSummary:
    """Score as `score_files` does, by any scorer; `settings` are all that its scores depend on."""
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:

        def score(waiting: Iterator[ScoreRow], known: Scores) -> Iterator[ScoredBatch]:
            loaded = ahead(pool, Loader(scorer.buckets, known), _announced(scorer, waiting), 2 * batch_size)
            while batch := [found for _, found in islice(loaded, batch_size)]:
                yield scored_batch(scorer, batch)

        return score_table(score, rows, out, settings, progress)


def score_table(
    score: Callable[[Iterator[ScoreRow], Scores], Iterator[ScoredBatch]],
    rows: Sequence[ScoreRow] | ScoreRows,
    out: Path,
    settings: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> ScoreSummary:
    """Keep in the table `out` what `score` makes of the rows that wait, batch by batch in their order.

    `score` is given the scores that are known besides, by content and prompt: such a picture needs no new one.
    """
    start = perf_counter()
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with one_writer(out), ThreadPoolExecutor(max_workers=_THREADS) as pool:
        log = ScoreLog(out, settings)
        standing = settled(rows, len(rows), log.rows, pool)
        log.begin(standing.kept)
        told = _Told(sum(standing.done), progress, len(rows))
        waiting = (row for row, done in zip(rows, standing.done, strict=True) if not done)
        for batch in score(waiting, standing.scores):
            log.append(batch.rows)
            told.add(batch)
        log.finish()
    return told.summary(standing, perf_counter() - start)


def _announced(scorer: Scorer, waiting: Iterator[ScoreRow]) -> Iterator[ScoreRow]:
    """The rows, of whose prompts the scorer is told some time before."""
    while rows := [*islice(waiting, _ROWS_AHEAD)]:
        scorer.expect([row.prompt for row in rows])
        yield from rows


class _Told:
    """The counts of a run as it goes on."""

    def __init__(self, done: int, progress: Callable[[int, int], None] | None, rows: int) -> None:
        self.done = self.already = done
        self.rows, self.progress = rows, progress
        self.failed = self.resized = self.profiles = 0
        self.truncated: dict[str, None] = {}
        self.unread: dict[str, str] = {}

    def add(self, batch: ScoredBatch) -> None:
        self.done += len(batch.rows)
        self.already += batch.known
        self.failed += sum(row.error is not None for row in batch.rows)
        self.resized += batch.resized
        self.profiles += batch.unused_profiles
        self.truncated.update(dict.fromkeys(batch.truncated))
        self.unread.update(batch.unread)
        if self.progress is not None:
            self.progress(self.done, self.rows)

    def summary(self, standing: Standing, seconds: float) -> ScoreSummary:
        return ScoreSummary(
            rows=self.rows,
            already=self.already,
            scored=self.rows - self.already - self.failed,
            failed=self.failed,
            retried=standing.retried,
            changed=standing.changed,
            unknown=standing.unknown,
            gone=standing.gone,
            resized=self.resized,
            unused_profiles=self.profiles,
            truncated=tuple(self.truncated),
            unread=tuple(self.unread.values()),
            seconds=seconds,
        )
