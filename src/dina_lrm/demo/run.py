"""Make comparisons, train three reward models on them, measure them on four test sets, score a folder, align a
generator, write a page.

The three models learn from the same pairs for the same number of steps: LoRA on the pretrained backbone (the method),
the same backbone frozen, and LoRA on a backbone with random weights. The second says what adaptation is worth, the
third what generative pretraining is worth. Beside them a generator is aligned with the bundled reward model.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dina_lrm.demo.align import AlignJob, BeforeAndAfter
from dina_lrm.demo.folder import rank_folder, write_ranking_folder
from dina_lrm.demo.jobs import Job, Outcome, run_jobs, workers_and_threads
from dina_lrm.demo.page import write_demo_page
from dina_lrm.demo.settings import KIND, MODELS, DemoSettings
from dina_lrm.evaluation.accuracy import PairwiseAccuracy
from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.evaluation.stored_sets import StoredSet
from dina_lrm.evaluation.synthetic import DIAGNOSTIC, synthetic_sets
from dina_lrm.recipes import recipe
from dina_lrm.recipes.data import IMAGES_PER_PROMPT
from dina_lrm.reports.alignment import write_vote
from dina_lrm.reward_model.assembly import backbone_of
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.files import write_json
from dina_lrm.runs.ownership import made_folder
from dina_lrm.synthetic.comparisons import SyntheticComparisons, training_comparisons
from dina_lrm.synthetic.encoding import encode
from dina_lrm.training.assemble import reward_model_config

Say = Callable[[str], None]
"""Called with one line as each stage begins and ends."""


@dataclass(frozen=True, eq=False)
class Demonstration:
    """What a demonstration measured."""

    settings: DemoSettings
    outcomes: Mapping[str, Outcome]
    stages: Mapping[str, float]
    """Seconds of each stage."""
    ceiling_of_training: float
    pairs: int
    aligned: BeforeAndAfter

    @property
    def results(self) -> dict[str, EvaluationResult]:
        """Measures by the name of the model."""
        return {name: outcome.result for name, outcome in self.outcomes.items()}


def run_demo(
    out: Path, settings: DemoSettings, say: Say, report: Callable[[int, int], None], command: str = "dina-lrm demo"
) -> dict[str, Any]:
    """Run everything, then give it the name `out`; returns what `results.json` holds. `report` gets (done, steps).

    An earlier demonstration stays until the new one is complete, and after a kill. Raises FileExistsError for a folder
    that holds anything else than a demonstration as it was made.
    """
    with made_folder(out, KIND) as folder:
        return _run_into(folder, settings, say, report, command)


def _run_into(
    out: Path, settings: DemoSettings, say: Say, report: Callable[[int, int], None], command: str
) -> dict[str, Any]:
    began = time.perf_counter()
    clock = _Clock(say)
    work = out / "work"
    work.mkdir()
    with clock("comparisons", f"{settings.prompts} prompts, {IMAGES_PER_PROMPT} pictures each"):
        made = training_comparisons(settings.prompts, IMAGES_PER_PROMPT, settings.seed)
    with clock("encoding", f"{len(made.images)} training pictures and the test sets, {settings.pairs} pairs each"):
        sets = _encode(made, settings, work)
    what = f"{', '.join(MODELS)}: {settings.steps} steps each; ReFL: {settings.updates} updates"
    with clock("training, measuring and aligning", what):
        jobs, workers, threads = _jobs(sets, work, out / "runs", settings, command)
        alignment = AlignJob(out / "runs" / "refl", settings.seed, settings.updates, settings.looked_at, threads)
        outcomes, aligned = run_jobs(jobs, alignment, workers, report)
    with clock("scoring a folder", "PNG files from disk"):
        model = LatentRewardModel.from_pretrained(outcomes["ours"].run / "model")
        ranking = rank_folder(write_ranking_folder(out / "images", settings.seed), model)
    demonstration = Demonstration(settings, outcomes, clock.stages, made.ceiling, len(made), aligned)
    with clock("report", "report.html"):
        write_vote(out, aligned.before, aligned.after, aligned.prompts)
        write_demo_page(out / "report.html", demonstration, sets, ranking, command)
    shutil.rmtree(work)
    found = results_json(demonstration, time.perf_counter() - began)
    write_json(out / "results.json", found)
    return found


def _encode(made: SyntheticComparisons, settings: DemoSettings, work: Path) -> dict[str, EvaluationSet]:
    """Encode training pairs and test sets; the training pairs lie in `work/data` afterwards."""
    backbone = backbone_of(reward_model_config(recipe(MODELS["frozen"])), device=torch.device("cpu"))
    encode(made, backbone).save(work / "data", backbone.config)
    return synthetic_sets(backbone, pairs=settings.pairs, seed=settings.seed)


def _jobs(
    sets: Mapping[str, EvaluationSet], work: Path, runs: Path, settings: DemoSettings, command: str
) -> tuple[list[Job], int, int]:
    backbone = reward_model_config(recipe(MODELS["frozen"])).backbone
    stored = {name: StoredSet.of(chosen, work / name, backbone) for name, chosen in sets.items()}
    workers, threads = workers_and_threads(len(MODELS) + 1)
    jobs = []
    for name in MODELS:
        chosen = tuple(found for key, found in stored.items() if name == "ours" or key != DIAGNOSTIC)
        jobs.append(Job(name, work / "data", chosen, runs / name, settings, command, threads))
    return jobs, workers, threads


def results_json(demonstration: Demonstration, seconds: float) -> dict[str, Any]:
    """The plain summary: accuracy, 95 % interval and ceiling by set, for the model, its ensemble and the baselines."""
    results = demonstration.results
    ours = results["ours"]
    ensemble = next(r.reading for r in ours.tests[0].readings if r.reading.is_ensemble)
    return {
        "seconds": round(seconds, 1),
        "seed": demonstration.settings.seed,
        "sets": _by_set(ours, ours.reference),
        "ensemble": _by_set(ours, ensemble),
        "baselines": {name: _by_set(results[name], results[name].reference) for name in ("frozen", "random_backbone")},
        "noise_level": ours.reference.levels[0],
        "ensemble_levels": list(ensemble.levels),
        "training_pairs": demonstration.pairs,
        "training_steps": demonstration.settings.steps,
        "alignment": _alignment(demonstration.aligned),
        "training_ceiling": demonstration.ceiling_of_training,
        "pairs_per_second": {name: outcome.pairs_per_second for name, outcome in demonstration.outcomes.items()},
        "stages": {name: round(value, 1) for name, value in demonstration.stages.items()},
    }


def _alignment(aligned: BeforeAndAfter) -> dict[str, float | int | None]:
    gain = aligned.gain
    return {
        "updates": aligned.updates,
        "pictures": len(aligned.prompts),
        "true_utility_before": float(aligned.utility_before.mean()),
        "true_utility_after": float(aligned.utility_after.mean()),
        "gain": gain.value,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "reward_before": aligned.reward_before,
        "reward_after": aligned.reward_after,
        "golden_before": aligned.golden_before,
        "golden_after": aligned.golden_after,
    }


def _by_set(result: EvaluationResult, reading: Reading) -> dict[str, dict[str, float | int | None]]:
    return {measured.name: _summary(measured.at(reading).accuracy, measured.ceiling) for measured in result.tests}


def _summary(found: PairwiseAccuracy, ceiling: float | None) -> dict[str, float | int | None]:
    return {
        "accuracy": found.accuracy,
        "low": found.low,
        "high": found.high,
        "ceiling": ceiling,
        "pairs": found.pairs,
        "ties": found.label_ties,
        "missing": found.missing,
    }


class _Clock:
    """Says when a stage begins and ends, and keeps its seconds."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.stages: dict[str, float] = {}
        self._name, self._start = "", 0.0

    def __call__(self, name: str, what: str) -> _Clock:
        self._name = name
        self._say(f"{name}: {what}")
        return self

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.stages[self._name] = time.perf_counter() - self._start
        self._say(f"{self._name}: {self.stages[self._name]:.1f} s")
