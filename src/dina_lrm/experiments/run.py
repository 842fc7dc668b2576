"""Train and measure cells, some at a time, each in a process of its own; those that are there are not trained again."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dina_lrm.assembly import backbone_of
from dina_lrm.data.cache import EncodedComparisons
from dina_lrm.evaluation.calibration import calibration, truth_distance
from dina_lrm.evaluation.diagnostics import ALL, diagnose
from dina_lrm.evaluation.environment import environment
from dina_lrm.evaluation.readings import PairScores, Reading
from dina_lrm.evaluation.scoring import readings_of, score_comparisons
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.evaluation.stored_sets import StoredSet
from dina_lrm.evaluation.synthetic import DIAGNOSTIC, synthetic_sets
from dina_lrm.experiments.cells import Cell, CellReading, CellSet, cell_name, packed
from dina_lrm.model import LatentRewardModel
from dina_lrm.recipes.ablations import ENSEMBLES, LEVELS, SWEEP, VARIANTS, Variant
from dina_lrm.recipes.data import IMAGES_PER_PROMPT
from dina_lrm.recipes.synthetic import synthetic
from dina_lrm.synthetic.comparisons import TEST_IMAGES, Labelling, training_comparisons
from dina_lrm.synthetic.encoding import encode
from dina_lrm.training.assemble import reward_model_config
from dina_lrm.training.trainer import train

TEST_SEED = 0
"""All cells are measured on the same pictures."""


@dataclass(frozen=True)
class Budget:
    """How much every cell gets: training steps, training prompts, and pairs of each test set."""

    steps: int
    prompts: int
    pairs: int


def run_cells(
    variants: Sequence[str],
    seeds: Sequence[int],
    budget: Budget,
    folder: Path,
    workers: int,
    threads: int,
    say: Callable[[str], None],
    report: Callable[[int, int], None],
) -> int:
    """Train what is missing in `folder`; returns how many cells were trained. `report` gets (cells done, cells).

    A cell that fails does not stop the others; the first failure is raised when all have ended.
    """
    wanted = [(variant, seed) for seed in seeds for variant in variants]
    missing = [cell for cell in wanted if not (folder / f"{cell_name(*cell)}.json").is_file()]
    report(len(wanted) - len(missing), len(wanted))
    if not missing:
        return 0
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        say("encoding the test sets")
        sets = _test_sets(budget.pairs, work)
        for seed, votes in dict.fromkeys((seed, VARIANTS[variant].votes) for variant, seed in missing):
            say(f"encoding the training pictures of seed {seed}, votes {votes}")
            _encode_training_set(work / _training_name(seed, votes), budget.prompts, seed, votes)
        failures: list[BaseException] = []
        done = len(wanted) - len(missing)
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            jobs = {pool.submit(_one, *cell, budget, sets, work, folder, threads): cell for cell in missing}
            for job in as_completed(jobs):
                error = job.exception()
                if error is None:
                    done += 1
                    say(job.result())
                else:
                    failures.append(error)
                    say(f"{cell_name(*jobs[job])}: failed: {error}")
                report(done, len(wanted))
        if failures:
            raise failures[0]
    return len(missing)


def default_workers() -> int:
    """One for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _test_sets(pairs: int, work: Path) -> tuple[StoredSet, ...]:
    backbone = backbone_of(reward_model_config(synthetic()), device=torch.device("cpu"))
    sets = synthetic_sets(backbone, pairs=pairs, seed=TEST_SEED)
    return tuple(StoredSet.of(item, work / name, backbone.config) for name, item in sets.items())


def _training_name(seed: int, votes: int) -> str:
    return f"training-{seed}-{votes}"


def _encode_training_set(folder: Path, prompts: int, seed: int, votes: int) -> None:
    backbone = backbone_of(reward_model_config(synthetic()), device=torch.device("cpu"))
    made = training_comparisons(prompts, IMAGES_PER_PROMPT, seed, Labelling(votes=votes))
    encode(made, backbone).save(folder, backbone.config)


def _one(
    name: str, seed: int, budget: Budget, sets: Sequence[StoredSet], work: Path, folder: Path, threads: int
) -> str:
    """Train and measure one cell; runs in a process of its own."""
    torch.set_num_threads(threads)
    variant = VARIANTS[name]
    run = work / cell_name(name, seed)
    config = replace(variant.config(), name=name, seed=seed, steps=budget.steps)
    data = EncodedComparisons.load(work / _training_name(seed, variant.votes))
    trained = train(config, data, run, quiet=True)
    cell = Cell(
        variant=name,
        seed=seed,
        steps=trained.steps,
        prompts=budget.prompts,
        config=config.to_dict(),
        parameters=_learned(trained.model, config.adaptation.kind),
        seconds=round(trained.seconds, 1),
        pairs_per_second=round(trained.pairs_per_second, 1),
        sets={},
        faults={},
        environment=environment(),
    )
    cell = measured(cell, trained.model, [stored.open() for stored in sets])
    cell.save(folder)
    shutil.rmtree(run)
    found = cell.sets["in_domain"].readings[own_reading(variant)].accuracy
    return f"{cell.name}: {100 * found:.1f} % in domain, {cell.seconds:.0f} s"


def own_reading(variant: Variant) -> str:
    """The level at which a variant is meant to be read: that of its training where it has only one, else 0.2."""
    level = variant.config().objective.noise_levels.level
    return reading_key(Reading((variant.config().model.noise_level if level is None else level,)))


def reading_key(reading: Reading) -> str:
    """How a reading is called in a cell: "0.2", "0.1+0.2+0.4"."""
    return "+".join(f"{level:g}" for level in reading.levels)


def measured(cell: Cell, model: LatentRewardModel, sets: Sequence[EvaluationSet]) -> Cell:
    """The cell with what its model reaches on every set."""
    variant = VARIANTS[cell.variant]
    readings = readings_of(SWEEP if variant.sweep else LEVELS, ENSEMBLES)
    found, faults = {}, {}
    for item in sets:
        scores = score_comparisons(model, item.encoded, readings, seed=TEST_SEED)
        if item.name == DIAGNOSTIC:
            column = [reading_key(reading) for reading in readings].index(own_reading(variant))
            faults = _faults(item, scores, column)
        else:
            found[item.name] = _cell_set(item, scores)
    return replace(cell, sets=found, faults=faults)


def _faults(item: EvaluationSet, scores: PairScores, column: int) -> dict[str, float]:
    assert item.groups is not None
    rows = diagnose(scores.margins[:, column], item.data.preference.double().numpy(), item.groups)
    return {row.kind: row.accuracy for row in rows if row.severity == ALL}


def _cell_set(item: EvaluationSet, scores: PairScores) -> CellSet:
    label = item.data.preference.double().numpy()
    assert item.true_probability is not None and item.ceiling is not None
    found = {}
    for column, reading in enumerate(scores.readings):
        probability = scores.probability[:, column]
        right = np.sign(scores.margins[:, column]) == np.sign(label - 0.5)
        met = calibration(probability, label)
        truth = truth_distance(probability, item.true_probability)
        numbers = (float(right.mean()), met.ece, met.brier, met.log_score, truth.ece, truth.kl)
        found[reading_key(reading)] = CellReading(packed(right), *(round(number, 6) for number in numbers))
    per_prompt = TEST_IMAGES * (TEST_IMAGES - 1) // 2
    return CellSet(len(item.data), per_prompt, item.ceiling, item.data.content_hash, found)


def _learned(model: LatentRewardModel, kind: str) -> int:
    """Parameters that learned; LoRA is merged by now, so that its number is told by its settings."""
    head = sum(parameter.numel() for parameter in model.head.parameters())
    described = model.describe()["parameters"]
    if kind == "full":
        return head + sum(parameter.numel() for parameter in model.backbone.parameters())
    return head + int(described.get("lora") or 0)
