"""`dina-lrm evaluate`: reward models on comparison sets, with intervals, calibration, plots and a report."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import FlagCreatePairsOff, Positional

from dina_lrm.cli.common import CommandFailed, CommonArguments, UserError, chosen_device, console, progress
from dina_lrm.cli.evaluation_sets import SYNTHETIC, NamedSet, SyntheticSize, made_set, named_sets, pictures_of
from dina_lrm.runs.ownership import check_results
from dina_lrm.runs.places import check_folder

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone
    from dina_lrm.evaluation.differences import JudgeDifference
    from dina_lrm.evaluation.evaluate import JudgedSet
    from dina_lrm.evaluation.judges import EncodedSets, Judge
    from dina_lrm.evaluation.results import EvaluationResult
    from dina_lrm.evaluation.sets import EvaluationSet
    from dina_lrm.reward_model.model import LatentRewardModel

_RESULT = "evaluation.json"


@dataclass
class Arguments(CommonArguments):
    """Measure reward models on comparison sets: accuracy, calibration, and the faults they miss.

    Every number comes with its 95 % interval, its number of pairs, ties and missing, and the Bayes ceiling where it is
    known. All noise levels and ensembles are read in one pass over the data. What was measured is kept in OUT: the same
    command goes on where it was stopped, and a set that fails does not lose the others (exit code 1).

    Examples:
        dina-lrm evaluate synthetic runs/first/model sharpness --on synthetic --levels 0.2,0.4,0.6 --out evaluation
        dina-lrm evaluate MODEL pickscore clip --on imagereward,hpdv2,genai-bench --data sets --out table1
    """

    models: Positional[tuple[str, ...]]
    """Latent reward models: "synthetic", folders, or Hugging Face Hub ids; and other rewards by family: clip[:MODEL],
    pickscore[:MODEL], hpsv2:MODEL, vlm:MODEL, sharpness, colourfulness, jpeg-size, mixture:FILE, python:FUNCTION."""
    on: str = SYNTHETIC
    """Sets, with commas between them: "synthetic" (all its sets) or one of them as "synthetic:in_domain"; a file of
    comparisons; a cache folder made by `prepare`; a data set such as hpdv3, hpdv2:test or imagereward=PATH."""
    data: Path | None = None
    """Folder that holds data sets, each in a folder of its name."""
    levels: str | None = None
    """Noise levels in [0, 1], such as 0.2,0.4,0.6; by default the one stored with each model."""
    ensemble: tuple[str, ...] | None = None
    """Noise levels read together, such as 0.2,0.5,0.7, or several such ensembles; by default the one stored with each
    model; "none" for none, "all" for every subset of two or more of --levels."""
    draws: int = 1
    """Noise draws that scores are averaged over; with several, how much single draws differ is measured too."""
    antithetic: FlagCreatePairsOff[bool] = False
    """Draw the noise in twos, one the negative of the other: a mean over an even number of --draws that varies less.
    They are not independent, so that what single draws differ by is not measured."""
    out: Path | None = None
    """Folder for report.html, leaderboard.html, evaluation.json and plots."""
    convention: str = "micro_strict"
    """How pairs and ties are counted; docs/evaluation.md has the table."""
    pairs: int = 2_000
    """Pairs of each synthetic set."""
    seed: int = 0
    """Of the noise, the synthetic sets, the sides of published pairs, and the bootstrap."""
    batch_size: int = 64
    """Pairs scored at once; changes no score."""
    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the models say."""
    source: str = "ours"
    """Which data set's columns the files have."""
    device: str | None = None
    """Where to compute; by default the first GPU, else the CPU."""

    def claims(self) -> Path | None:
        """Where the results go."""
        return self.out


def run(arguments: Arguments) -> dict[str, object]:
    """Evaluate every judge on every set, print the table, write the report."""
    asked = _checked(arguments)
    run = _Run(arguments, asked)
    for name in arguments.models:
        run.judge(name)
    results = run.results()
    differences = run.differences()
    if results:
        _show(arguments, results)
    if arguments.out is not None and results:
        _write(arguments, results, differences, run)
    summary: dict[str, object] = {
        "summary": _summary(results),
        "mean": _means(results),
        "results": [result.to_dict() for result in results],
        "differences": [difference.to_dict() for difference in differences],
        "failures": run.failures,
    }
    if run.failures:
        told = "; ".join(f"{row['model']} on {row['set']}: {row['error']}" for row in run.failures)
        raise CommandFailed(f"{len(run.failures)} of the measurements failed: {told}", summary)
    return summary


class _Run:
    """What has been measured so far, and what is shared between judges: sets, encodings, parts on disk."""

    def __init__(self, arguments: Arguments, asked: _Asked) -> None:
        from dina_lrm.evaluation.parts import EvaluationParts

        self.arguments, self.asked = arguments, asked
        self.parts = EvaluationParts(None if arguments.out is None else arguments.out / "parts")
        self.found: dict[str, tuple[Judge, list[JudgedSet], float]] = {}
        self.failures: list[dict[str, str]] = []
        self.model: LatentRewardModel | None = None
        self.sets: dict[str, EvaluationSet] = {}
        self._made: dict[tuple[object, ...], EvaluationSet] = {}
        self._encoded: EncodedSets = {}
        self._contents: dict[str, str] = {}
        self._bundled: Backbone | None = None

    def judge(self, name: str) -> None:
        """Measure one judge on every set; what fails is noted and the rest goes on."""
        began = time.perf_counter()
        try:
            judge, model = self._judge(name)
        except Exception as error:
            if len(self.arguments.models) == 1:
                raise
            self.failures.append({"model": name, "set": "all", "error": str(error) or repr(error)})
            return
        judged: list[JudgedSet] = []
        for named in self.asked.sets:
            try:
                judged.append(self._judged(judge, model, named))
            except Exception as error:
                if len(self.asked.sets) == len(self.arguments.models) == 1:
                    raise
                self.failures.append({"model": name, "set": named.name, "error": str(error) or repr(error)})
        self.found[name] = (judge, judged, time.perf_counter() - began)

    def _judge(self, name: str) -> tuple[Judge, LatentRewardModel | None]:
        from dina_lrm.evaluation.judges import LatentJudge, picture_judge
        from dina_lrm.evaluation.parts import content_of_judge
        from dina_lrm.locate import locate_reward_model
        from dina_lrm.reward_model.model import LatentRewardModel
        from dina_lrm.rewards.base import is_reward
        from dina_lrm.rewards.contents import content_of_reward

        arguments, asked = self.arguments, self.asked
        if is_reward(name):
            reward = picture_judge(name, min(arguments.batch_size, 16))
            self._contents[reward.name] = content_of_reward(reward.reward)
            return reward, None
        folder, device = locate_reward_model(name), chosen_device(arguments.device)
        model = LatentRewardModel.from_pretrained(folder, backbone=arguments.backbone, device=device)
        self.model = self.model or model
        self._contents[name] = content_of_judge(model)
        settings = (asked.levels, asked.ensembles, arguments.batch_size, arguments.draws)
        judge = LatentJudge(model, name, *settings, self._encoded, arguments.antithetic)
        return judge, model

    def _judged(self, judge: Judge, model: LatentRewardModel | None, named: NamedSet) -> JudgedSet:
        from dina_lrm.evaluation.evaluate import judge_set

        arguments = self.arguments
        item = self._set(named, model)
        key = self.parts.key(
            judge=judge.describe(),
            name=judge.name,
            content=self._contents[judge.name],
            readings=judge.readings,
            draws=(arguments.draws, arguments.antithetic),
            set=(item.name, item.data.content_hash, len(item.data)),
            seed=arguments.seed,
            convention=arguments.convention,
        )
        known = self.parts.load(key)
        if known is not None:
            return known
        with progress(f"{judge.name} on {item.name}", arguments.quiet) as report:
            judged = judge_set(judge, item, arguments.seed, report, arguments.convention)
        self.parts.save(key, judged)
        return judged

    def _set(self, named: NamedSet, model: LatentRewardModel | None) -> EvaluationSet:
        """The set; encoded ones once for each generator, which models on it share."""
        key: tuple[object, ...] = (named.word,)
        if model is not None and named.source is None:
            config = model.config
            key += (config.backbone.pretrained, config.backbone.prompt_length, config.resolution)
        if key not in self._made:
            size = SyntheticSize(self.arguments.pairs, self.arguments.seed)
            backbone = self._bundled_backbone if model is None else lambda: model.backbone
            self._made[key] = made_set(named, size, backbone)
        self.sets.setdefault(named.name, self._made[key])
        return self._made[key]

    def _bundled_backbone(self) -> Backbone:
        """What synthetic sets are encoded with where no latent reward model asks for another generator."""
        from dina_lrm.data.encoders import encoding_backbone

        if self._bundled is None:
            self._bundled = encoding_backbone(SYNTHETIC)
        return self._bundled

    def results(self) -> list[EvaluationResult]:
        """One result for each judge that was measured on any set."""
        from dina_lrm.evaluation.environment import command_line
        from dina_lrm.evaluation.evaluate import result_of

        given, command = self.arguments, command_line()
        return [
            result_of(judge, [part.result for part in judged], given.seed, given.convention, command, seconds)
            for judge, judged, seconds in self.found.values()
            if judged
        ]

    def differences(self) -> list[JudgeDifference]:
        """Every later judge against the first, on every set that both were measured on."""
        from dina_lrm.evaluation.differences import judge_differences

        judged = {name: {part.result.name: part for part in parts} for name, (_, parts, _) in self.found.items()}
        tested = {named.name: self.sets[named.name] for named in self.asked.sets if named.name in self.sets}
        return judge_differences(judged, tested, self.arguments.convention, self.arguments.seed)


@dataclass(frozen=True)
class _Asked:
    sets: tuple[NamedSet, ...]
    levels: tuple[float, ...] | None
    ensembles: tuple[tuple[float, ...], ...] | None


def _checked(arguments: Arguments) -> _Asked:
    """The numbers that were asked for; everything that can be refused is refused before a model is loaded."""
    if not arguments.models:
        raise UserError('no model was given; accepted: "synthetic", a folder, or a hub id, one or more')
    if arguments.out is not None:
        check_folder("--out", arguments.out)
        check_results(arguments.out, _RESULT, _is_evaluation, ("report.html", "leaderboard.html", "plots"))
    if len(set(arguments.models)) < len(arguments.models):
        raise UserError(f"a model was given twice: {' '.join(arguments.models)}")
    from dina_lrm.evaluation.accuracy import convention_named
    from dina_lrm.evaluation.scoring import readings_of

    convention_named(arguments.convention)
    if arguments.draws < 1 or arguments.batch_size < 1:
        given = f"--draws {arguments.draws}, --batch-size {arguments.batch_size}"
        raise UserError(f"{given}: accepted are whole numbers of at least 1")
    if arguments.antithetic and arguments.draws % 2:
        raise UserError(f"--antithetic --draws {arguments.draws}: accepted is an even number, such as 2")
    levels = None if arguments.levels is None else _numbers("--levels", arguments.levels)
    ensembles = None if arguments.ensemble is None else _ensembles(arguments.ensemble, levels)
    readings_of(levels or (0.0,), ensembles or ())
    return _Asked(tuple(named_sets(arguments.on, arguments.data, arguments.source)), levels, ensembles)


def _ensembles(given: tuple[str, ...], levels: tuple[float, ...] | None) -> tuple[tuple[float, ...], ...]:
    if given == ("all",):
        if levels is None or not 2 <= len(levels) <= 6:
            raise UserError("--ensemble all: give --levels with two to six noise levels, whose subsets are read")
        return tuple(subset for size in range(2, len(levels) + 1) for subset in itertools.combinations(levels, size))
    return tuple(_numbers("--ensemble", text) for text in given if text != "none")


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as error:
        raise UserError(
            f"{option} {text!r}: accepted are numbers with commas between them, such as 0.2,0.5,0.7"
        ) from error


def _show(arguments: Arguments, results: list[EvaluationResult]) -> None:
    from dina_lrm.reports.tables import accuracy_table, counts_table, fault_table
    from dina_lrm.reports.terminal import as_rich

    shown = console(arguments.quiet)
    main = results[0]
    if main.tests:
        shown.print(as_rich(accuracy_table(results)))
        shown.print(as_rich(counts_table(main)))
    for measured in main.sets:
        if measured.diagnostics:
            shown.print(as_rich(fault_table(measured)))
        for note in measured.notes:
            shown.print(f"{measured.name}: {note}")


def _write(
    arguments: Arguments, results: list[EvaluationResult], differences: list[JudgeDifference], run: _Run
) -> None:
    from dina_lrm.cli.result import write_json
    from dina_lrm.reports.evaluation import save_evaluation_plots, write_evaluation_report
    from dina_lrm.reports.leaderboard import write_leaderboard

    assert arguments.out is not None
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = {
        "results": [result.to_dict() for result in results],
        "differences": [difference.to_dict() for difference in differences],
        "failures": run.failures,
    }
    write_json(arguments.out / _RESULT, found)
    save_evaluation_plots(arguments.out / "plots", results)
    images = pictures_of(run.model, run.sets)
    page = write_evaluation_report(arguments.out / "report.html", results, images, differences)
    board = write_leaderboard(arguments.out / "leaderboard.html", results)
    shown = console(arguments.quiet)
    shown.print(f"report: {page}")
    shown.print(f"leaderboard: {board}")


def _is_evaluation(found: Mapping[str, object]) -> bool:
    return found.keys() == {"results", "differences", "failures"}


def _means(results: list[EvaluationResult]) -> dict[str, object]:
    """Mean accuracy over the sets by model and reading; null where a set failed."""
    from dina_lrm.reports.tables import mean_accuracy, tested_sets

    sets = tested_sets(results)
    return {
        result.model: {reading.name: mean_accuracy(result, reading, sets) for reading in result.readings}
        for result in results
    }


def _summary(results: list[EvaluationResult]) -> dict[str, object]:
    """Accuracy by model, reading and set: what most readers of the JSON want."""
    return {
        result.model: {
            reading.name: {
                measured.name: {
                    "accuracy": measured.at(reading).accuracy.accuracy,
                    "low": measured.at(reading).accuracy.low,
                    "high": measured.at(reading).accuracy.high,
                    "ceiling": measured.ceiling,
                    "pairs": measured.pairs,
                }
                for measured in result.tests
            }
            for reading in result.readings
        }
        for result in results
    }
