"""Score many image files: a batch at a time into a table that grows, every row accounted for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import torch

from dina_lrm.reward_model.checks import NoiseLevels, checked_batch_size, checked_levels, checked_seed
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.scoring.ahead import ahead
from dina_lrm.rewards.scoring.batches import BatchScorer
from dina_lrm.rewards.scoring.formats import ScoredRow
from dina_lrm.rewards.scoring.judging import Scorer, scorer_named
from dina_lrm.rewards.scoring.known import Standing, settled
from dina_lrm.rewards.scoring.loading import Loaded, Loader
from dina_lrm.rewards.scoring.log import ScoreLog
from dina_lrm.rewards.scoring.rows import ScoreRow, ScoreRows
from dina_lrm.runs.lock import one_writer

_THREADS: Final = 8


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
    progress: Callable[[int, int], None] | None = None,
) -> ScoreSummary:
    """Score as `score_files` does, by the model or reward of a name, which the table keeps.

    A name is "synthetic", a folder, a hub id, or a reward such as "clip:MODEL" or "sharpness", whose rows have no z.
    `backbone` says where the generator is when it is not where the model says; `dtype` is that of its weights.
    Scores of other weights, of the model or of its generator, are never mixed into a table.
    """
    seed, batch_size = checked_seed("score_files", seed), checked_batch_size("score_files", batch_size)
    scorer, made_by = scorer_named(
        model, noise_level=noise_level, seed=seed, backbone=backbone, revision=revision, device=device, dtype=dtype
    )
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
    settings = {**(made_by or {}), "noise_level": list(levels), "seed": seed}
    return score_by(BatchScorer(model, levels, seed), rows, out, settings, batch_size, progress)


def score_by(
    scorer: Scorer,
    rows: Sequence[ScoreRow] | ScoreRows,
    out: Path,
    settings: Mapping[str, Any],
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreSummary:
    """Score as `score_files` does, by any scorer; `settings` are all that its scores depend on."""
    start = perf_counter()
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with one_writer(out), ThreadPoolExecutor(max_workers=_THREADS) as pool:
        log = ScoreLog(out, settings)
        standing = settled(rows, len(rows), log.rows, pool)
        log.begin(standing.kept)
        told = _Told(sum(standing.done), progress, len(rows))
        waiting = (row for row, done in zip(rows, standing.done, strict=True) if not done)
        loaded = ahead(pool, Loader(scorer.buckets, standing.scores), waiting, 2 * batch_size)
        while batch := [found for _, found in islice(loaded, batch_size)]:
            scored = _scored(scorer, batch)
            log.append(scored)
            told.add(batch, scored)
        log.finish()
    return told.summary(standing, scorer, perf_counter() - start)


class _Told:
    """The counts of a run as it goes on."""

    def __init__(self, done: int, progress: Callable[[int, int], None] | None, rows: int) -> None:
        self.done = self.already = done
        self.rows, self.progress = rows, progress
        self.failed = self.resized = self.profiles = 0

    def add(self, batch: Sequence[Loaded], scored: Sequence[ScoredRow]) -> None:
        self.done += len(batch)
        self.already += sum(item.known is not None for item in batch)
        self.failed += sum(row.error is not None for row in scored)
        self.resized += sum(item.resized for item in batch)
        self.profiles += sum(item.note is not None for item in batch)
        if self.progress is not None:
            self.progress(self.done, self.rows)

    def summary(self, standing: Standing, scorer: Scorer, seconds: float) -> ScoreSummary:
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
            truncated=tuple(scorer.truncated),
            unread=tuple(scorer.unread.values()),
            seconds=seconds,
        )


def _scored(scorer: Scorer, batch: Sequence[Loaded]) -> list[ScoredRow]:
    """The rows with their scores or faults."""
    new = [(item.picture, item.row.prompt) for item in batch if item.picture is not None]
    found = iter(scorer([picture for picture, _ in new], [prompt for _, prompt in new]) if new else ())
    return [_scored_row(scorer, item, found) for item in batch]


def _scored_row(scorer: Scorer, item: Loaded, found: Iterator[float | str]) -> ScoredRow:
    row = item.row
    if item.known is not None:
        return ScoredRow(row.image, row.prompt, *item.known, content=item.content)
    result = item.fault if item.picture is None else next(found)
    if isinstance(result, float) and not math.isfinite(result):
        result = f"the model's score is {result}"
    if isinstance(result, float):
        z = scorer.z(result)
        return ScoredRow(
            row.image, row.prompt, _rounded(result), None if z is None else _rounded(z), content=item.content
        )
    return ScoredRow(row.image, row.prompt, error=result, content=item.content)


def _rounded(value: float) -> float:
    """Without the digits that a float32 does not have."""
    return float(f"{value:.9g}")
