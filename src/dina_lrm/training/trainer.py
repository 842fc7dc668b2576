"""A run: the loop over steps, its checkpoints, its log, and the reward model at the end.

runs/x/
    config.json       the complete config, the data's hash, versions
    metrics.jsonl     one line every `log_every` steps, and one a validation
    checkpoints/      step-N: complete training state
    tensorboard/      where that tracker is on
    model/            the trained reward model (averaged weights), written at the end
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.position import BatchPosition
from dina_lrm.data.tokens import pair_tokens
from dina_lrm.precision import compute_dtype
from dina_lrm.preference.noise_levels import NoiseLevelSampler
from dina_lrm.reward_model.formats.ours import check_free
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.checkpoints.kept import Kept
from dina_lrm.runs.checkpoints.stored import MEASURED, Checkpoint, is_among_the_best, resumption
from dina_lrm.runs.checkpoints.writer import CheckpointWriter
from dina_lrm.runs.folder import CHECKPOINTS, CONFIG
from dina_lrm.runs.lock import held_folder
from dina_lrm.runs.numbers import RunNumbers
from dina_lrm.runs.processes import Processes, join_processes, peak_memory_bytes
from dina_lrm.runs.stopping import StopRequest, stop_on_signals, stopped_sentence
from dina_lrm.runs.trackers import check_trackers
from dina_lrm.screen import Screen
from dina_lrm.training.assemble import build_model
from dina_lrm.training.batching import Prefetcher, StepSource, TokenBudget
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.finishing import finished_model
from dina_lrm.training.flops import StepCosts, known_ceiling
from dina_lrm.training.holding_out import hold_out
from dina_lrm.training.labels.distillation import distilled
from dina_lrm.training.labels.groups import in_groups, weighted
from dina_lrm.training.log import RunningMeans, StepLine
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.randomness import private_global_generators
from dina_lrm.training.run_folder import RunRecord, open_run_folder
from dina_lrm.training.spikes import STATE, forget_later_spikes, spike_file
from dina_lrm.training.step import Stepper
from dina_lrm.training.validation import Validation, measurable, validate, weighing
from dina_lrm.typed import DinaError, from_plain, to_plain

_BATCHES: Final = "batches"
"""Where in its data a run is, among the values of a checkpoint."""
PROCESSES: Final = "processes"
"""Where a checkpoint says how many computed it."""

WORTH_SAYING: Final = 100_000_000
"""Bytes of a checkpoint of which a run speaks when it begins; a dry run tells any size."""


@dataclass(frozen=True, eq=False)
class TrainResult:
    """What a run left behind. `stopped` names the signal that ended it early; it then has no model folder yet."""

    folder: Path
    model: LatentRewardModel
    """Ready for scoring, with the averaged weights; the training weights of an early stop otherwise."""
    model_folder: Path | None
    steps: int
    total_steps: int
    stopped: str | None
    validation: Validation | None
    """How the model was measured at the end; None after an early stop."""
    measured_on: Literal["validation", "training"]
    """On held-out comparisons, or on a sample of those that were trained on, where nothing was held out."""
    held_out: str | None
    """What was held out of the data of training, and by what it was parted; None where nothing was."""
    left_out: tuple[str, ...]
    """Comparisons of the validation set that hold a NaN or infinity and are not measured."""
    resumed_from: int | None
    """The step of the checkpoint that the run went on from."""
    passed_over: tuple[str, ...]
    """Faults of newer checkpoints, each in a sentence."""
    seconds: float
    pairs_per_second: float
    peak_memory_bytes: int

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a command's JSON."""
        return {
            "run": str(self.folder),
            "model": None if self.model_folder is None else str(self.model_folder),
            "steps": self.steps,
            "total_steps": self.total_steps,
            "stopped": self.stopped,
            "validation": None if self.validation is None else asdict(self.validation),
            "measured_on": self.measured_on,
            "held_out": self.held_out,
            "left_out": list(self.left_out),
            "resumed_from": self.resumed_from,
            "passed_over": list(self.passed_over),
            "seconds": self.seconds,
            "pairs_per_second": self.pairs_per_second,
            "peak_memory_bytes": self.peak_memory_bytes,
        }


def train(plan: TrainingPlan) -> TrainResult:
    """Train a reward model by `plan`.

    A resumed run comes to the weights that an uninterrupted one would have had, bit for bit. SIGINT and SIGTERM finish
    the step, save and return. Under `accelerate launch` or `torchrun` every process calls this alike.

    Raises:
        FileExistsError: the plan's folder holds a run, and it is not to be resumed.
        BusyError: another process trains in the folder.
        ValueError: a setting, a resumed run with other settings or data than the stored ones, no checkpoint that is
            whole.
        NonFiniteError: a NaN or infinity, naming the tensor and the pairs.
        SpikeError: a step that stands out, where `spikes.action` is to stop.
    """
    with held_folder(plan.place, join_processes().is_main_process):
        return train_in(plan)


def train_in(plan: TrainingPlan) -> TrainResult:
    """`train` for a caller that holds the plan's folder already (`runs.lock.held_folder`)."""
    check_trackers("log.trackers", plan.config.log.trackers)
    processes = Processes()
    with private_global_generators(processes.device):
        return Trainer(plan, processes).run()


class Trainer:
    """The parts of one run; `train` makes one and runs it."""

    def __init__(self, plan: TrainingPlan, processes: Processes) -> None:
        config, data, validation = plan.config, plan.data, plan.validation
        self.plan, self.record = plan, RunRecord.of(config, data)
        self._held_out: str | None = None
        if validation is None and config.validation_fraction > 0:
            parted = hold_out(data, config.validation_fraction, config.seed, config.validation_by)
            data, validation, self._held_out = parted.rest, parted.held, parted.told
        self._processes, self._shown = processes, processes.main and not plan.quiet
        scores = config.judged_scores
        taught = distilled(config.objective.teacher, in_groups(config, data), processes, self._shown)
        data = weighing(taught, "training", scores)
        self.left_out: list[str] = []
        if validation is not None:
            validation = weighing(validation, "validation", dict.fromkeys(scores, 1.0))
            validation, self.left_out = measurable(validation, config.batch_size)
        self.config, self.data, self.validation, self.folder = config, data, validation, plan.place
        if processes.sharding is not None and plan.pipeline is not None:
            raise DinaError("pipeline: the weights of its owner would be shared out; accepted: none under FSDP2")
        model = build_model(config, processes.device, plan.pipeline)
        self.source = StepSource(
            weighted(config, data),
            NoiseLevelSampler(config.objective.noise_levels.sampler),
            config.batch_size,
            config.seed,
            config.objective.noise_levels.stratified,
            config.compute.accumulation,
            processes.index,
            processes.count,
            config.objective.noise_levels.together,
            _tokens(config, data, model),
            scores,
            reuses=True,
        )
        self._kept = Kept(config.log.keep_last, config.log.keep_best, config.log.best_by)
        if self._kept.best and validation is None:
            raise DinaError(
                f"log.keep_best {self._kept.best}: nothing is held out to measure by; accepted: 0, or --validation"
            )
        self._resumed_from: int | None = None
        self._passed_over: tuple[str, ...] = ()
        self.total_steps = self._steps()
        self.stepper = Stepper(config, model, self.total_steps, processes, self.folder)

    def run(self) -> TrainResult:
        """Train from the start or the newest checkpoint to the end, or until asked to stop."""
        model_folder = self.folder / "model"
        if self._processes.main:
            check_free(model_folder)  # not at the end of the work
            open_run_folder(self.folder, self.record, self.plan.resume)
        self._processes.wait()
        self._check_shared_folder()
        if self._held_out is not None:
            self._say(self._held_out)
        first = self._restore() if self.plan.resume else 0
        if self.left_out:
            shown = ", ".join(self.left_out[:8])
            instead = "" if self.validation is not None else "; training pairs are measured instead"
            self._say(f"validation: {len(self.left_out)} comparisons cannot be read and are left out: {shown}{instead}")
        size = self.stepper.learning.check_room(self.folder / CHECKPOINTS)
        if size.total >= WORTH_SAYING:
            self._say(f"a checkpoint takes {size.told}; kept: {self._kept.told}")
        start = time.perf_counter()
        with stop_on_signals() as stop, self._numbers(first) if self._processes.main else nullcontext() as numbers:
            done, stopped = self._loop(first, numbers, stop)
        seconds = time.perf_counter() - start
        model, measured = self.stepper.model, None
        if stopped is None:
            model, measured = finished_model(
                self.stepper, self.data, self.validation, self.record, model_folder, self._processes.main
            )
            self._processes.wait()
        return TrainResult(
            folder=self.folder,
            model=model,
            model_folder=model_folder if stopped is None else None,
            steps=done,
            total_steps=self.total_steps,
            stopped=stopped,
            validation=measured,
            measured_on="training" if self.validation is None else "validation",
            held_out=self._held_out,
            left_out=tuple(self.left_out),
            resumed_from=self._resumed_from,
            passed_over=self._passed_over,
            seconds=seconds,
            pairs_per_second=self._pairs_seen / max(seconds, 1e-9),
            peak_memory_bytes=peak_memory_bytes(self._processes.device),
        )

    def _check_shared_folder(self) -> None:
        """Where processes hold the weights together, they write their checkpoints together too."""
        if self._processes.sharding is None:
            return
        sees = (self.folder / CONFIG).is_file()
        fault = None if sees else f"{self.folder}: process {self._processes.index} does not see the run"
        faults = [said for said in self._processes.all_said(fault) if said is not None]
        if faults:
            raise DinaError(f"{faults[0]}; accepted: a folder that all machines share")

    def _restore(self) -> int:
        found = self.stepper.learning.resume(
            self.folder / CHECKPOINTS,
            self._kept,
            self._processes,
            lambda found: self._say(f"{self.folder}: {resumption(found)}"),
        )
        step = 0 if found is None else found.step
        if found is not None:
            self._resumed_from, self._passed_over = found.step, found.passed_over
            self._follow(found)
            self.stepper.guard.restore(found.values.get(STATE))
            forget_later_spikes(self.folder, self._processes.index, found.step)
        if self.plan.resume_batch is not None:
            self.source.resize(step, self.plan.resume_batch)
        if len(self.source.plan.sizes) > 1:
            begin, size = self.source.plan.sizes[-1]
            self._say(f"{self.folder}: batches of at most {size} {self.source.plan.unit} from step {begin} on")
        self.total_steps = self.stepper.total_steps = self._steps()
        return step

    def _follow(self, found: Checkpoint) -> None:
        """Read the batches that the run of a checkpoint would have read; those of earlier versions do not say which."""
        stored = found.values.get(_BATCHES)
        if stored is not None:
            where = str(self.folder if found.path is None else found.path)
            position = from_plain(BatchPosition, stored, f"{where}: {_BATCHES}")
            self.source.follow(position, self.record.data_hash, where)

    def _steps(self) -> int:
        return self.config.steps if self.config.steps is not None else self.source.steps_in(self.config.epochs)

    def _say(self, message: str) -> None:
        Screen(not self._shown, "stderr").print(message)

    def _numbers(self, first: int) -> RunNumbers:
        return RunNumbers(self.folder, first, self.config.log.trackers, self.record.to_dict())

    def _loop(self, first: int, numbers: RunNumbers | None, stop: StopRequest) -> tuple[int, str | None]:
        """Steps done, and the signal that stopped the run."""
        device, made_by = self._processes.device, (self.config.model, self.config.adaptation, self.config.compute)
        costs = StepCosts(self.stepper.model, made_by)
        means = RunningMeans(known_ceiling(device, compute_dtype(self.config.compute.precision, device)))
        done, self._pairs_seen = first, 0.0
        with (
            Prefetcher(self.source, self.total_steps - 1) as inputs,
            StepLine(self.total_steps, first, self._shown) as bar,
            CheckpointWriter(self.folder / CHECKPOINTS, self._kept, self._processes) as writer,
        ):
            for step in range(first, self.total_steps):
                given = inputs(step)
                outcome = self.stepper(given, bool(stop))
                done = step + 1
                means.add(outcome.totals, outcome.pairs, outcome.gradient_norm, costs.of(given), inputs.waited)
                if outcome.spike is not None:
                    bar.say(f"{outcome.spike.told}; its pairs are in {spike_file(self.folder, self._processes.index)}")
                self._pairs_seen += outcome.pairs
                bar.advance(done, means.read())
                ends = done == self.total_steps or outcome.stop
                if ends or done % self.config.log.log_every == 0:
                    _log(numbers, done, {**self._told(means.take(), done), "learning_rate": outcome.learning_rate})
                measured = self._evaluate(numbers, done) if not ends and self._measures(done) else {}
                if ends or _due(done, self.config.log.checkpoint_every) or self._is_best(done, measured, writer):
                    self._save(done, numbers, writer, measured)
                if outcome.stop and done < self.total_steps:
                    bar.say(stopped_sentence(stop.reason, done, self.total_steps))
                    return done, stop.reason
        return done, None

    def _told(self, values: dict[str, float], done: int) -> dict[str, float]:
        """The numbers of a line, with the most memory held so far and the seconds that the rest takes at this rate."""
        left = values["seconds_per_step"] * (self.total_steps - done)
        return {**values, "memory_bytes": peak_memory_bytes(self._processes.device), "seconds_left": left}

    def _measures(self, step: int) -> bool:
        return self.validation is not None and _due(step, self.config.log.evaluate_every)

    def _evaluate(self, numbers: RunNumbers | None, step: int) -> dict[str, float]:
        """What is measured on the held-out pairs, as far as it is a number."""
        assert self.validation is not None
        with self.stepper.evaluating(), self.stepper.computing():
            found = validate(
                self.stepper.model,
                self.stepper.objective,
                self.validation,
                self.config.batch_size,
                weights=self.config.judged_scores,
            )
        told = {"validation_loss": found.loss, "validation_accuracy": found.accuracy}
        for name, score in found.scores.items():
            told |= {f"validation_loss/{name}": score.loss, f"validation_accuracy/{name}": score.accuracy}
        _log(numbers, step, told)
        measured = {"loss": found.loss, "accuracy": found.accuracy}
        return {name: value for name, value in measured.items() if math.isfinite(value)}

    def _is_best(self, step: int, measured: dict[str, float], writer: CheckpointWriter) -> bool:
        """Whether what was measured makes this step one of the best, the same on all processes."""
        if not (self._kept.best and measured):
            return False
        writer.wait()
        best = self._processes.main and is_among_the_best(self.folder / CHECKPOINTS, self._kept, step, measured)
        return self._processes.agree("best" if best else None) is not None

    def _values(self, step: int, measured: dict[str, float]) -> dict[str, Any]:
        """What a checkpoint says beside its tensors."""
        position = self.source.position(step, self.record.data_hash)
        known = {_BATCHES: to_plain(position), MEASURED: measured, PROCESSES: self._processes.count}
        return {**self.record.to_dict(), **known, STATE: self.stepper.guard.state()}

    def _save(
        self, step: int, numbers: RunNumbers | None, writer: CheckpointWriter, measured: dict[str, float]
    ) -> None:
        if numbers is not None:
            numbers.sync()
        writer.save(self.stepper.learning.checkpoint(step, self._values(step, measured)))


def _tokens(config: TrainConfig, data: EncodedComparisons, model: LatentRewardModel) -> TokenBudget | None:
    """Budgets of tokens, where the config sets one."""
    if config.batch_tokens is None and config.compute.micro_tokens is None:
        return None
    of_pair = pair_tokens(data, model.backbone.latent_multiple)
    return TokenBudget(of_pair, config.batch_tokens, config.compute.micro_tokens)


def _log(numbers: RunNumbers | None, step: int, values: dict[str, float]) -> None:
    if numbers is not None:
        numbers.write(step, values)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
