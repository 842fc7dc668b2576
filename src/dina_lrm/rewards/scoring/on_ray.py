"""Scoring by workers of Ray: batches are cut here, loaded and scored there, and kept here in their order.

A batch holds the rows that it would hold in one process, so that its scores are the same to the bit; pictures that are
files are read by the worker, those in a table go with the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, final

from dina_lrm.engines.ray_pool import RayPool
from dina_lrm.engines.settings import RayEngine
from dina_lrm.precision import default_device
from dina_lrm.rewards.scoring.ahead import ahead
from dina_lrm.rewards.scoring.batches import BatchScorer
from dina_lrm.rewards.scoring.files import ScoreSummary, score_table
from dina_lrm.rewards.scoring.judging import NamedScorer, Scorer
from dina_lrm.rewards.scoring.loading import Loaded, Loader, Scores
from dina_lrm.rewards.scoring.rows import ScoreRow, ScoreRows
from dina_lrm.rewards.scoring.scored import ScoredBatch, scored_batch

_THREADS: Final = 4
_AT_ONCE: Final = 16
_LOOKED_FOR: Final = 3
_LOOKED_THROUGH: Final = 100
"""So many files a worker is asked about before anything is loaded, and so many rows are looked through for them."""


Batches = Sequence[Sequence[ScoreRow]]


@final
class _Scoring:
    """What a worker holds: the model, and threads that read pictures while others are scored.

    A task holds as many batches as it asks for: where text encoders do not stay in memory, each of them is loaded once
    for the prompts of a task.
    """

    def __init__(self, scorer: Scorer, told: Mapping[str, Any]) -> None:
        stay = not isinstance(scorer, BatchScorer) or scorer.model.backbone.encoders_stay
        self.told: Mapping[str, Any] = told
        self.asks: Mapping[str, Any] = {"batches": 1 if stay else _AT_ONCE}
        self._scorer, self._threads = scorer, ThreadPoolExecutor(_THREADS)

    def ready(self, task: Batches, common: Scores) -> _Reading:
        """The pictures of the first batch; others are read while it is scored."""
        rows = [row for batch in task for row in batch]
        found = ahead(self._threads, Loader(self._scorer.buckets, common), rows, 2 * len(task[0]))
        first = [loaded for _, loaded in islice(found, len(task[0]))]
        return _Reading(task, chain(first, (loaded for _, loaded in found)))

    def done(self, ready: _Reading) -> list[ScoredBatch]:
        """Their scores."""
        self._scorer.expect([row.prompt for batch in ready.batches for row in batch])
        return [scored_batch(self._scorer, [*islice(ready.loaded, len(batch))]) for batch in ready.batches]


@dataclass(frozen=True)
class _Reading:
    """Batches, and their pictures as they are read."""

    batches: Batches
    loaded: Iterator[Loaded]


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
    pool: RayPool[Batches, _Reading, list[ScoredBatch]] = RayPool(
        engine, _Load(named), with_gpu=named.device != "cpu", files=_some_files(rows), named=_named
    )
    with pool:
        at_once: int = pool.asks["batches"]

        def score(waiting: Iterator[ScoreRow], known: Scores) -> Iterator[ScoredBatch]:
            batches = iter(lambda: [*islice(waiting, batch_size)], [])
            tasks: Iterator[Batches] = iter(lambda: [*islice(batches, at_once)], [])
            return chain.from_iterable(pool.each(tasks, known))

        summary = score_table(score, rows, out, pool.told, progress)
        return replace(summary, workers=tuple(pool.notes()))


def _some_files(rows: Sequence[ScoreRow] | ScoreRows) -> list[str]:
    """The first files that are there, which a worker must see too."""
    first = islice(rows, _LOOKED_THROUGH)
    there = (str(row.source) for row in first if isinstance(row.source, Path) and row.source.is_file())
    return [*islice(there, _LOOKED_FOR)]


def _named(task: Batches) -> str:
    return f"the {sum(map(len, task))} rows from {task[0][0].image!r} to {task[-1][-1].image!r}"
