"""Scoring by workers of Ray: batches are cut here, loaded and scored there, and kept here in their order.

A batch holds the rows that it would hold in one process, so that its scores are the same to the bit; pictures that are
files are read by the worker, those in a table go with the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, final

from dina_lrm.engines.ray_pool import RayPool
from dina_lrm.engines.settings import RayEngine
from dina_lrm.precision import default_device
from dina_lrm.rewards.scoring.files import ScoreSummary, score_table
from dina_lrm.rewards.scoring.judging import NamedScorer, Scorer
from dina_lrm.rewards.scoring.loading import Loaded, Loader, Scores
from dina_lrm.rewards.scoring.rows import ScoreRow, ScoreRows
from dina_lrm.rewards.scoring.scored import ScoredBatch, scored_batch

_THREADS: Final = 4
_LOOKED_FOR: Final = 3
_LOOKED_THROUGH: Final = 100
"""So many files a worker is asked about before anything is loaded, and so many rows are looked through for them."""


@final
class _Scoring:
    """What a worker holds: the model, and threads that read pictures while others are scored."""

    def __init__(self, scorer: Scorer, told: Mapping[str, Any]) -> None:
        self.told = told
        self._scorer, self._threads = scorer, ThreadPoolExecutor(_THREADS)

    def ready(self, task: Sequence[ScoreRow], common: Scores) -> list[Loaded]:
        """The pictures of a batch."""
        return [*self._threads.map(Loader(self._scorer.buckets, common), task)]

    def done(self, ready: list[Loaded]) -> ScoredBatch:
        """Their scores."""
        return scored_batch(self._scorer, ready)


@dataclass(frozen=True)
class _Load:
    """Loads the scorer where it is called."""

    named: NamedScorer

    def __call__(self) -> _Scoring:
        return _Scoring(*replace(self.named, device=self.named.device or default_device()).load())


def score_on_ray(
    engine: RayEngine,
    named: NamedScorer,
    rows: Sequence[ScoreRow] | ScoreRows,
    out: Path,
    batch_size: int,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreSummary:
    """Score as `score_files_by` does, by workers of Ray. Raises ValueError as `RayPool` besides."""
    pool: RayPool[list[ScoreRow], list[Loaded], ScoredBatch] = RayPool(
        engine, _Load(named), with_gpu=named.device != "cpu", files=_some_files(rows), named=_batch_named
    )
    with pool:

        def score(waiting: Iterator[ScoreRow], known: Scores) -> Iterator[ScoredBatch]:
            return pool.each(iter(lambda: [*islice(waiting, batch_size)], []), known)

        summary = score_table(score, rows, out, pool.told, progress)
        return replace(summary, workers=tuple(pool.notes()))


def _some_files(rows: Sequence[ScoreRow] | ScoreRows) -> list[str]:
    """The first files that are there, which a worker must see too."""
    first = islice(rows, _LOOKED_THROUGH)
    there = (str(row.source) for row in first if isinstance(row.source, Path) and row.source.is_file())
    return [*islice(there, _LOOKED_FOR)]


def _batch_named(batch: Sequence[ScoreRow]) -> str:
    return f"the {len(batch)} rows from {batch[0].image!r} to {batch[-1].image!r}"
