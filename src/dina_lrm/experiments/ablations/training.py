"""A cell of an ablation is made: a variant trained on pairs that were encoded once for all, and measured."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.evaluation.environment import environment
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.evaluation.stored_sets import StoredSet
from dina_lrm.evaluation.synthetic import synthetic_sets
from dina_lrm.experiments.ablations.cells import Cell
from dina_lrm.experiments.ablations.measuring import (
    TEST_SEED,
    UNCERTAIN,
    ScoreSet,
    latent_scores,
    latent_uncertainty,
    measured,
    own_reading,
    pixel_scores,
)
from dina_lrm.experiments.ablations.variants import VARIANTS
from dina_lrm.experiments.cells import cell_name
from dina_lrm.experiments.pool import PoolJob, Stopped
from dina_lrm.experiments.run import Missing, run_missing
from dina_lrm.recipes.data import IMAGES_PER_PROMPT
from dina_lrm.reward_model.assembly import backbone_of
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.comparisons import Labelling, training_comparisons
from dina_lrm.synthetic.encoding import encode
from dina_lrm.synthetic.pixel_judges import PROMPTS_A_STEP, train_pixel_judge
from dina_lrm.training.assemble import reward_model_config
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


@dataclass(frozen=True)
class TrainingBudget:
    """How much every cell gets: training steps, training prompts, and pairs of each test set."""

    steps: int
    prompts: int
    pairs: int


def train_cells(
    variants: Sequence[str],
    seeds: Sequence[int],
    budget: TrainingBudget,
    cells: Path,
    workers: int,
    say: Callable[[str], None],
    report: Callable[[int, int], None],
) -> int:
    """Train and measure what the folder `cells` lacks, as `run_missing` does; returns how many were trained."""
    return run_missing(variants, seeds, cells, partial(_jobs, budget, cells, say), workers, say, report)


@contextmanager
def _jobs(
    budget: TrainingBudget, cells: Path, say: Callable[[str], None], missing: Missing
) -> Iterator[list[PoolJob[str]]]:
    """Training and test sets are encoded once, for all cells that read them."""
    if not missing:
        yield []
        return
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        say("encoding the test sets")
        generators = dict.fromkeys(VARIANTS[name].generator for name, _ in missing)
        sets = {generator: _test_sets(generator, budget.pairs, work) for generator in generators}
        latent = [(VARIANTS[name], seed) for name, seed in missing if VARIANTS[name].judge == "latent"]
        for generator, seed, votes in dict.fromkeys((one.generator, seed, one.votes) for one, seed in latent):
            say(f"encoding the training pictures of seed {seed}, votes {votes}, for {generator}")
            _encode_training_set(generator, work, budget.prompts, seed, votes)
        yield [
            PoolJob(
                cell_name(name, seed), partial(_one, name, seed, budget, sets[VARIANTS[name].generator], work, cells)
            )
            for name, seed in missing
        ]


def _test_sets(generator: str, pairs: int, work: Path) -> tuple[StoredSet, ...]:
    backbone = _backbone(generator)
    sets = synthetic_sets(backbone, pairs=pairs, seed=TEST_SEED)
    return tuple(StoredSet.of(item, work / generator / name, backbone.config) for name, item in sets.items())


def _training_folder(work: Path, generator: str, seed: int, votes: int) -> Path:
    return work / generator / f"training-{seed}-{votes}"


def _encode_training_set(generator: str, work: Path, prompts: int, seed: int, votes: int) -> None:
    backbone = _backbone(generator)
    made = training_comparisons(prompts, IMAGES_PER_PROMPT, seed, Labelling(votes=votes))
    encode(made, backbone).save(_training_folder(work, generator, seed, votes), backbone.config)


def _backbone(generator: str) -> Backbone:
    """A backbone that encodes pictures and prompts as all of that generator's variants read them."""
    config = next(one.config() for one in VARIANTS.values() if one.generator == generator)
    return backbone_of(reward_model_config(config), device=torch.device("cpu"))


def _one(name: str, seed: int, budget: TrainingBudget, sets: Sequence[StoredSet], work: Path, cells: Path) -> str:
    """Train and measure one cell; runs in a process of its own."""
    torch.set_num_threads(1)
    train_cell = _latent_cell if VARIANTS[name].judge == "latent" else _pixel_cell
    opened = {stored.name: stored.open() for stored in sets}
    cell, score = train_cell(name, seed, budget, work, opened)
    cell = measured(cell, score, list(opened.values()))
    cell.save(cells)
    found = cell.sets["in_domain"].readings[own_reading(VARIANTS[name])].accuracy
    return f"{cell.name}: {100 * found:.1f} % in domain, {cell.seconds:.0f} s"


def _latent_cell(
    name: str, seed: int, budget: TrainingBudget, work: Path, sets: Mapping[str, EvaluationSet]
) -> tuple[Cell, ScoreSet]:
    variant = VARIANTS[name]
    run = work / cell_name(name, seed)
    steps = round(variant.step_share * budget.steps)
    config = replace(variant.config(), name=name, seed=seed, steps=steps)
    data = EncodedComparisons.load(_training_folder(work, variant.generator, seed, variant.votes))
    trained = train(TrainingPlan(config, data, run, quiet=True))
    shutil.rmtree(run)
    if trained.stopped is not None:
        # A run that is asked to stop ends well, and would pass for a trained model here
        raise Stopped(f"stopped by {trained.stopped} after step {trained.steps} of {steps}")
    cell = _cell(name, seed, budget, trained.seconds, trained.pairs_per_second)
    learned = _learned(trained.model, config.adaptation.kind)
    uncertain = latent_uncertainty(trained.model, sets[UNCERTAIN]) if variant.draws else ()
    cell = replace(cell, config=config.to_dict(), parameters=learned, uncertainty=uncertain)
    return cell, latent_scores(trained.model, variant)


def _pixel_cell(
    name: str, seed: int, budget: TrainingBudget, work: Path, sets: Mapping[str, EvaluationSet]
) -> tuple[Cell, ScoreSet]:
    variant = VARIANTS[name]
    made = training_comparisons(budget.prompts, IMAGES_PER_PROMPT, seed, Labelling(votes=variant.votes))
    began = time.perf_counter()
    model = train_pixel_judge(variant.judge, made, budget.steps, seed)
    seconds = time.perf_counter() - began
    pairs_a_step = PROMPTS_A_STEP * IMAGES_PER_PROMPT * (IMAGES_PER_PROMPT - 1) / 2
    cell = _cell(name, seed, budget, seconds, budget.steps * pairs_a_step / seconds)
    learned = sum(parameter.numel() for parameter in model.parameters())
    return replace(cell, config={"judge": variant.judge}, parameters=learned), pixel_scores(model, budget.pairs)


def _cell(name: str, seed: int, budget: TrainingBudget, seconds: float, pairs_per_second: float) -> Cell:
    return Cell(
        variant=name,
        seed=seed,
        steps=budget.steps,
        prompts=budget.prompts,
        config={},
        parameters=0,
        seconds=round(seconds, 1),
        pairs_per_second=round(pairs_per_second, 1),
        sets={},
        faults={},
        environment=environment(),
    )


def _learned(model: LatentRewardModel, kind: str) -> int:
    """Parameters that learned; LoRA is merged by now, so that its number is told by its settings."""
    head = sum(parameter.numel() for parameter in model.head.parameters())
    described = model.describe()["parameters"]
    if kind == "full":
        return head + sum(parameter.numel() for parameter in model.backbone.parameters())
    return head + int(described.get("lora") or 0)
