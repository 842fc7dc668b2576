"""Training and measuring several models at once: one process each, the cores divided among them.

The matrices of this world are too small for one model to keep several cores busy, so two models side by side on two
cores finish well before one after the other. A GPU is given one model at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.demo.align import AlignJob, BeforeAndAfter, align
from dina_lrm.demo.settings import ENSEMBLES, MODELS, DemoSettings
from dina_lrm.evaluation.evaluate import evaluate
from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.evaluation.stored_sets import StoredSet
from dina_lrm.recipes import recipe
from dina_lrm.runs.metrics import METRICS_FILE, read_lines
from dina_lrm.runs.workers import PIPELINES, worker_context
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train

_POLL_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Job:
    """One model: how it is trained, on what, where, and the sets that it is measured on."""

    name: str
    data: Path
    sets: tuple[StoredSet, ...]
    run: Path
    settings: DemoSettings
    command: str
    threads: int


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    name: str
    run: Path
    steps: int
    seconds: float
    pairs_per_second: float
    result: EvaluationResult


def run_jobs(
    jobs: Sequence[Job], alignment: AlignJob, workers: int, report: Callable[[int, int], None]
) -> tuple[dict[str, Outcome], BeforeAndAfter]:
    """Run all jobs, `workers` at a time; `report` gets (steps done, steps) of all of them. A failed job raises."""
    context = worker_context(*PIPELINES, __name__)
    total = sum(job.settings.steps for job in jobs) + alignment.updates
    runs = [*(job.run for job in jobs), alignment.run]
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {job.name: pool.submit(train_and_measure, job) for job in jobs}
        aligned = pool.submit(align, alignment)
        for finished in _until_done([*futures.values(), aligned]):
            report(sum(map(steps_done, runs)), total)
            for future in finished:
                future.result()  # raises what the job raised
        return {name: future.result() for name, future in futures.items()}, aligned.result()


def _until_done(futures: Sequence[Future[Any]]) -> Iterator[set[Future[Any]]]:
    waiting = set(futures)
    while waiting:
        finished, waiting = wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        yield finished


def steps_done(run: Path) -> int:
    """How far a run has come, by its log."""
    lines = read_lines(run / METRICS_FILE)
    return int(lines[-1]["step"]) if lines else 0


def workers_and_threads(jobs: int) -> tuple[int, int]:
    """How many jobs at a time, and CPU threads for each."""
    if torch.cuda.is_available():
        return 1, torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(1, min(jobs, cores))
    return workers, max(1, cores // workers)


def train_and_measure(job: Job) -> Outcome:
    """Train one model and measure it; runs in a process of its own."""
    torch.set_num_threads(job.threads)
    config = replace(recipe(MODELS[job.name]), seed=job.settings.seed, steps=job.settings.steps)
    trained = train(TrainingPlan(config, EncodedComparisons.load(job.data), job.run, quiet=True))
    if trained.stopped is not None:
        raise RuntimeError(f"the training of {job.name} was stopped by {trained.stopped} after step {trained.steps}")
    result = evaluate(
        trained.model,
        {stored.name: stored.open() for stored in job.sets},
        ensembles=ENSEMBLES if job.name == "ours" else (),
        batch_size=32,
        seed=job.settings.seed,
        name=job.name,
        command=job.command,
    )
    return Outcome(job.name, job.run, trained.steps, trained.seconds, trained.pairs_per_second, result)
