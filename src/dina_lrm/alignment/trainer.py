"""The run around an alignment algorithm: optimiser, moving average, looks, alarms, checkpoints, exact resumption.

A run's folder holds config.json, metrics.jsonl, checkpoints/step-N/, the looks (samples/step-N.npz, monitor.jsonl), and
at the end lora/, which plain diffusers loads, and outcome.json.
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from dina_lrm.alignment.algorithms.algorithm import Algorithm, Outcome
from dina_lrm.alignment.algorithms.distill.distill import Distill
from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.algorithms.dpo import Dpo
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.forward.craft.craft import Craft
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig
from dina_lrm.alignment.algorithms.forward.loop import ForwardLoop
from dina_lrm.alignment.algorithms.forward.objectives import FORWARD_OBJECTIVES
from dina_lrm.alignment.algorithms.grpo.flow_grpo import FlowGrpo
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo import Lpo
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl import Refl
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.alignment.card import CARD, keep_card
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.contents import contents
from dina_lrm.alignment.monitor.looks import Look, Looks
from dina_lrm.alignment.monitor.records import read_records
from dina_lrm.alignment.pairs.algorithm import PairPreference
from dina_lrm.alignment.pairs.learned import LearnedPairs
from dina_lrm.alignment.run_folder import RunFolder, RunOutcome, fingerprint
from dina_lrm.generators.distilled import DistilledWarning, distillation_faults
from dina_lrm.generators.generator import Generator
from dina_lrm.rewards.base import Reward
from dina_lrm.runs.checkpoints.kept import Kept
from dina_lrm.runs.checkpoints.stored import Checkpoint, resumption
from dina_lrm.runs.checkpoints.writer import CheckpointWriter
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.runs.folder import CHECKPOINTS
from dina_lrm.runs.learning import Learning
from dina_lrm.runs.lock import held_folder
from dina_lrm.runs.moving_average import MovingAverage
from dina_lrm.runs.numbers import RunNumbers
from dina_lrm.runs.processes import Processes
from dina_lrm.runs.stopping import StopRequest, stop_on_signals, stopped_sentence
from dina_lrm.sampling.objective import Objective
from dina_lrm.typed import DinaError

ALGORITHMS: Final[dict[type[AlignConfig], type[Algorithm[Any]]]] = {
    ReflConfig: Refl,
    GrpoConfig: FlowGrpo,
    LpoConfig: Lpo,
    DpoConfig: Dpo,
    **dict.fromkeys(FORWARD_OBJECTIVES, ForwardLoop),
    CraftConfig: Craft,
    DistillConfig: Distill,
}
"""What runs of a configuration compute."""
OnLook = Callable[[Look], None]
OnStep = Callable[[int, int, float], None]
"""Called with (step, steps, mean reward)."""
Say = Callable[[str], None]
"""Called with a sentence about the run."""
_KEPT: Final = Kept(last=2)
"""Checkpoints: should the newest be damaged, the one before it is not."""


@dataclass(frozen=True)
class _Point:
    """Where a run is: after `step` updates; the alarm that stopped it there; whether its look is still to come."""

    step: int = 0
    stopped: str | None = None
    look_due: bool = True


class AlignmentRun:
    """One run in one folder; `run` trains what is missing of it."""

    def __init__(
        self,
        config: AlignConfig,
        generator: Generator,
        prompts: Sequence[str],
        look_prompts: Sequence[str],
        folder: Path,
        resume: bool = False,
        processes: Processes | None = None,
        say: Say = lambda text: None,
        pairs: LearnedPairs | None = None,
    ) -> None:
        """Begin or go on in `folder`; `say` is told from where. `pairs` are what offline preferences are learned from.
        A `DistilledWarning` says what a distilled generator makes doubtful.

        Raises:
            FileExistsError: for a folder that holds a run, without `resume`.
            ValueError: for a run with other settings, prompts, generator or rewards, and for what the algorithm,
                rewards or looks refuse.
        """
        self.config, self.generator, self.folder = config, generator, folder
        self._resume, self._say = resume, say
        self._processes = processes or Processes(cpu=generator.backbone.device.type == "cpu")
        if self._processes.sharding is not None:
            raise DinaError("align: a LoRA learns, and weights are not shared out; accepted: a data-parallel launch")
        for fault in distillation_faults(generator.pipeline, generator.model, generator.guidance):
            warnings.warn(fault, DistilledWarning, stacklevel=2)
        generator.check_prompts(list(dict.fromkeys([*prompts, *look_prompts])))
        kind = ALGORITHMS[type(config)]
        self.objective = Objective(generator, config.rewards, kind.differentiable)
        self._algorithm: Algorithm[Any]
        if pairs is None:
            self._algorithm = kind(config, generator, self.objective, prompts, self._processes)
        elif isinstance(config, DpoConfig):
            self._algorithm = PairPreference(config, generator, self.objective, pairs, self._processes)
        else:
            raise DinaError(f"pairs: given to {config.algorithm}; accepted: dpo")
        self._look_prompts = tuple(look_prompts)
        told = {"prompts": fingerprint(prompts), "look prompts": fingerprint(look_prompts)}
        self._pairs = pairs
        if pairs is not None:
            told["pairs"] = pairs.content
        self._files = RunFolder(folder, config, told | contents(generator, self._rewards))
        for note in self._files.check(resume):
            say(note)
        self._processes.wait()
        self._optimizer = torch.optim.AdamW(generator.parameters.values(), lr=config.lr, weight_decay=0.0)
        self._average = MovingAverage(generator.parameters, config.ema_decay, every=config.ema_every)
        self._learning = Learning(generator.parameters, self._optimizer, self._average, self._algorithm.state())

    def run(self, on_look: OnLook, on_step: OnStep, stop_after: int | None = None) -> RunOutcome:
        """Train to the end, until `stop_after` updates, or until an alarm stops it.

        SIGINT and SIGTERM finish the update, save and return; `say` is told so. Raises BusyError where another process
        runs in the folder.
        """
        with held_folder(self.folder, self._processes.main):
            if self._processes.main:
                self._files.check(self._resume)  # what is there now, since nobody else writes any more
            finished = self._files.finished()
            if finished is not None:
                self._say(f"{self.folder}: the run ended at step {finished.steps}; nothing is left to do")
                return finished
            # Other processes make no looks of their own, and write nothing
            point = self._restore()
            looks = self._looks(point.step) if self._processes.main else None
            if looks:
                self._learning.check_room(self.folder / CHECKPOINTS)
            if looks:
                # Only now: a run that is refused leaves nothing that would have to be resumed
                self._files.begin()
                looks.begin()
            self._standardise(looks)
            self._measure(looks)
            last = min(self.config.steps, stop_after or self.config.steps)
            with (
                stop_on_signals() as stop,
                self._numbers(point.step) if looks else nullcontext() as numbers,
                CheckpointWriter(self.folder / CHECKPOINTS, _KEPT, self._processes) as writer,
            ):
                outcome = self._go(point, last, looks, numbers, writer, on_look, on_step, stop)
            if outcome.interrupted:
                self._say(stopped_sentence(outcome.interrupted, outcome.steps, self.config.steps, "update"))
            if looks and (outcome.stopped or (outcome.steps == self.config.steps and not outcome.interrupted)):
                outcome = self._finish(looks, outcome)
            self._processes.wait()
            return outcome

    def _go(
        self,
        point: _Point,
        last: int,
        looks: Looks | None,
        numbers: RunNumbers | None,
        writer: CheckpointWriter,
        on_look: OnLook,
        on_step: OnStep,
        stop: StopRequest,
    ) -> RunOutcome:
        """Updates, looks and checkpoints up to `last`; a request to stop is heeded after an update or a look."""
        done, stopped, due = point.step, point.stopped, False
        if point.look_due:
            stopped = self._look(looks, done, on_look, numbers)
            self._save(_Point(done, stopped, look_due=False), numbers, writer)
        asked = self._asked(stop)
        while done < last and stopped is None and not asked:
            self._update(done, numbers, on_step)
            done += 1
            asked = self._asked(stop)
            due = done % self.config.looks.every == 0 or done == self.config.steps
            if due and not asked:  # else it is made when the run goes on: who asks to stop may not wait for it
                stopped, due = self._look(looks, done, on_look, numbers), False
            if asked or stopped or done % self.config.checkpoint_every == 0 or done == self.config.steps:
                self._save(_Point(done, stopped, due), numbers, writer)
        return RunOutcome(done, stopped, interrupted=asked if done < last or due else None)

    def _update(self, step: int, numbers: RunNumbers | None, on_step: OnStep) -> None:
        outcome = self._of_all(self._algorithm.update(step, lambda: self._learn(step)))
        done = step + 1
        if done % self.config.ema_every == 0:
            self._average.update()
        if numbers is not None:
            plain = asdict(outcome)
            numbers.write(done, {**plain.pop("details"), **plain})
        on_step(done, self.config.steps, outcome.reward)

    def _of_all(self, outcome: Outcome) -> Outcome:
        """What an update did, as a mean over processes."""
        parts = self._processes.mean(outcome.parts)
        means = self._processes.mean({"loss": outcome.loss, "reward": outcome.reward})
        return replace(outcome, loss=means["loss"], reward=means["reward"], parts=parts)

    def _learn(self, step: int) -> float:
        parameters = list(self.generator.parameters.values())
        self._processes.average_gradients(parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.config.clip_norm))
        if not math.isfinite(norm):
            raise DinaError(f"update {step + 1}: the norm of the gradient is {norm}; no weight was changed by it")
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    @property
    def _rewards(self) -> tuple[Reward, ...]:
        """All that take part in what is learned."""
        return (*self.objective.rewards, *self._algorithm.witnesses)

    def _looks(self, start: int) -> Looks:
        algorithm, shown = self._algorithm, self._look_prompts
        return Looks(
            self.config, self.generator, self.objective, shown, self.folder, start, algorithm.watch, algorithm.witnesses
        )

    def _standardise(self, looks: Looks | None) -> None:
        """Several rewards are summed as z-scores, over samples of the generator before it learned."""
        if len(self.config.rewards) == 1:
            return
        if looks and not self._files.has_scales():
            with self.generator.reference():
                self._files.write_scales(looks.scales())
        self._processes.wait()
        self.objective.standardise(self._files.scales())

    def _measure(self, looks: Looks | None) -> None:
        """Have the algorithm know what it measures of the generator before it learned."""
        if looks and not self._files.has_measured():
            with self.generator.reference():
                measured = self._algorithm.measured()
            if measured:
                self._files.write_measured(measured)
        self._processes.wait()
        self._algorithm.know(self._files.measured())

    def _look(self, looks: Looks | None, step: int, on_look: OnLook, numbers: RunNumbers | None) -> str | None:
        """The sentence of an alarm that stops the run, or None; the same on all processes."""
        said = None
        if looks:
            with self._average.swapped_in():
                with self.generator.scaled(self.config.looks.lora_scale):
                    look = looks.take(step)
                if self.config.looks.save_loras or self.config.looks.on_alarm == "roll-back":
                    self.generator.save_lora(self.folder / "loras" / f"step-{step}")
                    self._keep_card(self.folder / "loras" / f"step-{step}", step)
            on_look(look)
            if numbers is not None:  # monitor.jsonl has them already
                numbers.track(look.step, {"look": look.means()})
            if look.alarms and self.config.looks.on_alarm != "tell":
                said = look.alarms[0].sentence
        return self._processes.agree(said)

    def _numbers(self, start: int) -> RunNumbers:
        return RunNumbers(self.folder, start, self.config.trackers, self.config.to_dict())

    def _asked(self, stop: StopRequest) -> str | None:
        """What asks any process to stop, the same on all of them."""
        anywhere = self._processes.mean({"asked": float(bool(stop))})["asked"] > 0
        return stop.reason if anywhere else None

    def _save(self, point: _Point, numbers: RunNumbers | None, writer: CheckpointWriter) -> None:
        if numbers is not None:
            numbers.sync()
        values = {"stopped": point.stopped, "look_due": point.look_due}
        writer.save(self._learning.checkpoint(point.step, values))

    def _restore(self) -> _Point:
        """Where the newest checkpoint is."""
        state = self._learning.resume(self.folder / CHECKPOINTS, _KEPT, self._processes, self._tell_resumption)
        if state is None:
            return _Point()
        stopped = None if state.values.get("stopped") is None else state.value("stopped", str)
        return _Point(state.step, stopped, state.value("look_due", bool) if "look_due" in state.values else False)

    def _tell_resumption(self, found: Checkpoint | None) -> None:
        if self._resume:
            self._say(f"{self.folder}: {resumption(found, 'update')}")

    def _finish(self, looks: Looks, outcome: RunOutcome) -> RunOutcome:
        lora, step = self.folder / "lora", outcome.steps
        if outcome.stopped and self.config.looks.on_alarm == "roll-back":
            step = looks.last_good().step
            _copy_files(self.folder / "loras" / f"step-{step}", lora)
        else:
            with self._average.swapped_in():
                self.generator.save_lora(lora)
        self._keep_card(lora, step)
        finished = RunOutcome(outcome.steps, outcome.stopped, step)
        self._files.finish(finished)
        return finished

    def _keep_card(self, lora: Path, step: int) -> None:
        family = self.generator.backbone.config.family
        pairs = None if self._pairs is None else self._pairs.found - self._pairs.left_out.total
        if not keep_card(lora, self.config, read_records(self.folder), step, family, pairs):
            self._say(f"{lora / CARD}: was changed since it was made, and stays as it is")


def _copy_files(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for file in source.iterdir():
        with replaced_when_complete(target / file.name) as temporary:
            shutil.copyfile(file, temporary)
