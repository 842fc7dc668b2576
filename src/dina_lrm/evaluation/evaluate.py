"""Measure a latent reward model on several sets.

result = evaluate(model, {"mine": EvaluationSet("mine", data)}, levels=(0.2, 0.4, 0.6), ensembles=((0.2, 0.5, 0.7),))
result.of("mine").at(result.reference).accuracy
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.plain import PlainComparisons
from dina_lrm.evaluation.about import set_for
from dina_lrm.evaluation.environment import environment
from dina_lrm.evaluation.judges import Judge, LatentJudge
from dina_lrm.evaluation.measures import KnownAnswers, diagnostics_of, measure_readings, worst_disagreements
from dina_lrm.evaluation.readings import PairScores
from dina_lrm.evaluation.rendered import RenderedComparisons
from dina_lrm.evaluation.results import EvaluationResult, SetResult
from dina_lrm.evaluation.scoring import ReportProgress, shifted
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError


def evaluate(
    model: LatentRewardModel,
    sets: Mapping[str, EvaluationSet],
    levels: Sequence[float] | None = None,
    ensembles: Sequence[Sequence[float]] | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: ReportProgress | None = None,
    convention: str = "micro_strict",
    name: str = "model",
    command: str = "",
    draws: int = 1,
    antithetic: bool = False,
) -> EvaluationResult:
    """Accuracy, calibration and faults of `model` on every set at every noise level and ensemble.

    Of a model with named scores it is the main one, on what the sets say of it. `levels` and `ensembles` default to the
    one level and the one ensemble stored with the model. With several `draws`, scores are means over the noise of as
    many seeds, and the uncertainty of single draws is measured; `antithetic` draws are a noise and its negative by
    turns, whose mean varies less and which are not independent, so that their uncertainty is not measured. Scores are
    kept, so memory grows by 16 bytes a pair, reading and draw; latents are read `batch_size` pairs at a time.
    """
    judge = LatentJudge(model, name, levels, ensembles, batch_size, draws, antithetic=antithetic)
    sets = {title: set_for(item, model) for title, item in sets.items()}
    return evaluate_judge(judge, sets, seed, progress, convention, command)


def evaluate_judge(
    judge: Judge,
    sets: Mapping[str, EvaluationSet],
    seed: int = 0,
    progress: ReportProgress | None = None,
    convention: str = "micro_strict",
    command: str = "",
) -> EvaluationResult:
    """Accuracy, calibration and faults of any judge on every set."""
    if not sets:
        raise DinaError("evaluate: no sets were given; accepted: at least one")
    total, start = sum(len(item.data) for item in sets.values()), time.perf_counter()
    found: list[SetResult] = []
    for item in sets.values():
        before = sum(result.pairs for result in found)
        report = None if progress is None else shifted(progress, before, total)
        found.append(judge_set(judge, item, seed, report, convention).result)
    return result_of(judge, found, seed, convention, command, time.perf_counter() - start)


@dataclass(frozen=True, eq=False)
class JudgedSet:
    """The result of a judge on a set, and its margins at the reference reading, for comparing judges pair by pair."""

    result: SetResult
    margins: Float[np.ndarray, " pairs"]


def judge_set(
    judge: Judge,
    item: EvaluationSet,
    seed: int = 0,
    progress: ReportProgress | None = None,
    convention: str = "micro_strict",
) -> JudgedSet:
    """Score one set and measure the scores."""
    began = time.perf_counter()
    judged = judge.scores(item, seed, progress)
    seconds = time.perf_counter() - began
    column = judge.readings.index(judge.reference)
    measured = measure_set(judged.scores, item, column, convention, seed, seconds)
    told = replace(measured, uncertainty=judged.uncertainty, notes=(*measured.notes, *judged.notes))
    return JudgedSet(told, judged.scores.margins[:, column])


def result_of(
    judge: Judge, found: Sequence[SetResult], seed: int, convention: str, command: str, seconds: float
) -> EvaluationResult:
    """The results of a judge on some sets as one, with what is needed to repeat it."""
    return EvaluationResult(
        model=judge.name,
        description=judge.describe(),
        reference=judge.reference,
        sets=tuple(found),
        convention=convention,
        seed=seed,
        environment=environment(),
        command=command,
        seconds=seconds,
    )


def measure_set(
    scores: PairScores, item: EvaluationSet, column: int, convention: str, seed: int, seconds: float
) -> SetResult:
    """All measures of scores that any judge gave to the pairs of a set; `column` is the reference reading."""
    known = KnownAnswers(
        preference=item.data.preference.double().numpy(),
        prompts=prompt_ids(item.data),
        true_probability=item.true_probability,
    )
    return SetResult(
        name=item.name,
        pairs=len(item.data),
        images=item.data.images,
        missing=len(item.data.missing),
        ceiling=item.ceiling,
        data_hash=item.data.content_hash,
        notes=item.notes,
        readings=measure_readings(scores, known, convention, seed),
        diagnostics=diagnostics_of(scores, column, known, item.groups),
        disagreements=worst_disagreements(scores, column, known, _prompt_of_pair(item.data)),
        seconds=seconds,
        diagnostic_only=item.diagnostic_only,
    )


def prompt_ids(data: EncodedComparisons | RenderedComparisons | PlainComparisons) -> Int[np.ndarray, " pairs"]:
    """A number for the prompt of each pair: that of its `prompt_id` where it has one, else of its text."""
    rows = data.pairs.prompt.tolist()
    keys = [
        ("text", row) if known is None else ("id", known) for row, known in zip(rows, data.pairs.prompt_id, strict=True)
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def _prompt_of_pair(data: EncodedComparisons | RenderedComparisons | PlainComparisons) -> Callable[[int], str]:
    return lambda pair: data.prompts[int(data.pairs.prompt[pair])]
