"""The missing cells of a study, some at a time, each in a process of its own; what is there is not made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from dina_lrm.experiments.cells import cell_name
from dina_lrm.experiments.pool import PoolJob, collected, terminated_as_interrupted, worker_pool
from dina_lrm.runs.workers import PIPELINES

Missing = Sequence[tuple[str, int]]
"""Variants and seeds whose cells are to be made."""
_IMPORTED: Final = (*PIPELINES, "dina_lrm.experiments.ablations.training", "dina_lrm.experiments.alignment.runs")
"""What jobs of studies import."""


def run_missing(
    variants: Sequence[str],
    seeds: Sequence[int],
    cells: Path,
    jobs: Callable[[Missing], AbstractContextManager[Sequence[PoolJob[Any]]]],
    workers: int,
    say: Callable[[str], None],
    report: Callable[[int, int], None],
    beside: Sequence[PoolJob[Any]] = (),
) -> int:
    """Make the cells that the folder `cells` lacks, each by its job; returns how many. `report` gets (done, cells).

    What `jobs` opens, such as a folder of encoded pictures, is there while they run. The jobs `beside` run with them
    and are no cells. A job that fails does not stop the others; the first failure is raised when all have ended. A
    worker that is told to stop, or dies, ends the whole run, and no worker outlives this process.

    Raises:
        Stopped: when a worker was told to stop, or died.
    """
    wanted = [(variant, seed) for seed in seeds for variant in variants]
    missing = [cell for cell in wanted if not (cells / f"{cell_name(*cell)}.json").is_file()]
    done = len(wanted) - len(missing)
    report(done, len(wanted))
    if not missing and not beside:
        return 0
    with terminated_as_interrupted(), jobs(missing) as made, worker_pool(workers, *_IMPORTED) as pool:
        own, others = ({pool.submit(job.work): job for job in some} for some in (made, beside))
        failures = collected(own, done, len(wanted), say, report)
        failures += collected(others, 0, len(others), say, lambda done, total: None)
    if failures:
        raise failures[0]
    return len(missing)
