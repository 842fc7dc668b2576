"""The run around an alignment algorithm: optimiser, moving average, looks, alarms, checkpoints, exact resumption.

A run's folder holds config.json, metrics.jsonl, checkpoints/step-N/, the looks (samples/step-N.npz, monitor.jsonl), and
at the end lora/, which plain diffusers loads, and outcome.json.
"""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import torch

from dina_lrm.alignment.algorithm import Algorithm, Outcome
from dina_lrm.alignment.config import AlignConfig, DpoConfig, GrpoConfig, LpoConfig, ReflConfig
from dina_lrm.alignment.distilled import DistilledWarning, distillation_faults
from dina_lrm.alignment.dpo import Dpo
from dina_lrm.alignment.flow_grpo import FlowGrpo
from dina_lrm.alignment.generator import Generator
from dina_lrm.alignment.looks import Look, Looks
from dina_lrm.alignment.lpo import Lpo
from dina_lrm.alignment.objective import Objective
from dina_lrm.alignment.processes import Processes
from dina_lrm.alignment.refl import Refl
from dina_lrm.alignment.run_numbers import RunNumbers
from dina_lrm.moving_average import MovingAverage
from dina_lrm.run_checkpoints import (
    Checkpoint,
    learning_state,
    newest_checkpoint,
    prune_checkpoints,
    restore_learning_state,
    save_checkpoint,
)
from dina_lrm.runs.files import replaced_when_complete

ALGORITHMS: Final[dict[type[AlignConfig], type[Algorithm[Any]]]] = {
    ReflConfig: Refl,
    GrpoConfig: FlowGrpo,
    LpoConfig: Lpo,
    DpoConfig: Dpo,
}
"""What runs of a configuration compute."""
OnLook = Callable[[Look], None]
OnStep = Callable[[int, int, float], None]
"""Called with (step, steps, mean reward)."""
_FREE_TO_CHANGE: Final = {"name", "checkpoint_every", "trackers"}
"""Settings that a run that goes on may change: they say how visibly, not what is learned."""
_CONFIG: Final = "config.json"
_PROMPTS: Final = "prompts.json"
_SCALES: Final = "scales.json"
_OUTCOME: Final = "outcome.json"


@dataclass(frozen=True)
class RunOutcome:
    """How far a run is. `stopped` says which alarm stopped it; `lora_step` which look lora/ is of, once it is there."""

    steps: int
    stopped: str | None = None
    lora_step: int | None = None


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
    ) -> None:
        """Begin or go on in `folder`. A `DistilledWarning` says what a distilled generator makes doubtful.

        Raises:
            FileExistsError: for a folder that holds a run, without `resume`.
            ValueError: for a run with other settings, and for what the algorithm, rewards or looks refuse.
        """
        self.config, self.generator, self.folder = config, generator, folder
        self._processes = processes or Processes(cpu=generator.backbone.device.type == "cpu")
        for fault in distillation_faults(generator.pipeline, generator.model, generator.guidance):
            warnings.warn(fault, DistilledWarning, stacklevel=2)
        generator.check_prompts(list(dict.fromkeys([*prompts, *look_prompts])))
        kind = ALGORITHMS[type(config)]
        self.objective = Objective(generator, config.rewards, kind.differentiable)
        self._algorithm = kind(config, generator, self.objective, prompts, self._processes)
        self._look_prompts = tuple(look_prompts)
        self._prompts = {
            "prompts": _fingerprint(prompts),
            "look prompts": _fingerprint(look_prompts),
        }
        self._check_folder(resume)
        self._processes.wait()
        self._optimizer = torch.optim.AdamW(generator.parameters.values(), lr=config.lr, weight_decay=0.0)
        self._average = MovingAverage(generator.parameters, config.ema_decay, every=config.ema_every)

    def run(self, on_look: OnLook, on_step: OnStep, stop_after: int | None = None) -> RunOutcome:
        """Train to the end, or until `stop_after` updates, or until an alarm stops it."""
        finished = self._finished()
        if finished is not None:
            return finished
        start, stopped = self._restore()
        # Other processes make no looks of their own, and write nothing
        looks = self._looks(start) if self._processes.main else None
        if looks:
            # Only now: a run that is refused leaves nothing that would have to be resumed
            _write_json(self.folder / _CONFIG, self.config.to_dict())
            _write_json(self.folder / _PROMPTS, self._prompts)
        self._standardise(looks)
        last = min(self.config.steps, stop_after or self.config.steps)
        done = start
        with RunNumbers(self.config, self.folder, start) if looks else nullcontext() as numbers:
            if start == 0:
                stopped = self._look(looks, 0, on_look, numbers)
            while done < last and stopped is None:
                self._update(done, numbers, on_step)
                done += 1
                if done % self.config.looks.every == 0 or done == self.config.steps:
                    stopped = self._look(looks, done, on_look, numbers)
                if looks and (done % self.config.checkpoint_every == 0 or done == self.config.steps or stopped):
                    self._save(done, stopped)
        outcome = RunOutcome(done, stopped)
        if looks and (done == self.config.steps or stopped):
            outcome = self._finish(looks, outcome)
        self._processes.wait()
        return outcome

    def _update(self, step: int, numbers: RunNumbers | None, on_step: OnStep) -> None:
        outcome = self._of_all(self._algorithm.update(step, lambda: self._learn(step)))
        done = step + 1
        if done % self.config.ema_every == 0:
            self._average.update()
        if numbers is not None:
            numbers.of_update(done, outcome)
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
            raise ValueError(f"update {step + 1}: the norm of the gradient is {norm}; no weight was changed by it")
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def _check_folder(self, resume: bool) -> None:
        path = self.folder / _CONFIG
        if not path.is_file():
            return
        if not resume:
            raise FileExistsError(f"{self.folder}: holds a run already; add --resume, or give another folder")
        wanted, found = self.config.to_dict(), json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found.get("steps"), int) and found["steps"] < self.config.steps:
            # A run may be prolonged: what is drawn depends on the step alone, and nothing on how many there will be
            found["steps"] = self.config.steps
        compared = {*wanted, *found} - _FREE_TO_CHANGE
        different = sorted(key for key in compared if found.get(key) != wanted.get(key))
        if different:
            raise ValueError(f"{path}: the run was started with other settings: {', '.join(different)}")
        stored = self.folder / _PROMPTS
        known = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
        other = [what for what, told in known.items() if self._prompts.get(what) != told]
        if other:
            raise ValueError(f"{stored}: the run was started with other {' and '.join(other)}")

    def _looks(self, start: int) -> Looks:
        return Looks(self.config, self.generator, self.objective, self._look_prompts, self.folder, start)

    def _standardise(self, looks: Looks | None) -> None:
        """Several rewards are summed as z-scores, over samples of the generator before it learned."""
        if len(self.config.rewards) == 1:
            return
        path = self.folder / _SCALES
        if looks and not path.is_file():
            with self.generator.reference():
                _write_json(path, looks.scales())
        self._processes.wait()
        found = json.loads(path.read_text(encoding="utf-8"))
        self.objective.standardise({name: (mean, deviation) for name, (mean, deviation) in found.items()})

    def _look(self, looks: Looks | None, step: int, on_look: OnLook, numbers: RunNumbers | None) -> str | None:
        """The sentence of an alarm that stops the run, or None; the same on all processes."""
        said = None
        if looks:
            with self._average.swapped_in():
                with self.generator.scaled(self.config.looks.lora_scale):
                    look = looks.take(step)
                if self.config.looks.save_loras or self.config.looks.on_alarm == "roll-back":
                    self.generator.save_lora(self.folder / "loras" / f"step-{step}")
            on_look(look)
            if numbers is not None:
                numbers.of_look(look)
            if look.alarms and self.config.looks.on_alarm != "tell":
                said = look.alarms[0].sentence
        return self._processes.agree(said)

    def _save(self, step: int, stopped: str | None) -> None:
        tensors = learning_state(self.generator.parameters, self._optimizer)
        tensors["ema"] = self._average.state_dict()
        folder = self.folder / "checkpoints"
        save_checkpoint(folder, Checkpoint(step, tensors, {"ema_updates": self._average.updates, "stopped": stopped}))
        prune_checkpoints(folder, keep_last=1)

    def _restore(self) -> tuple[int, str | None]:
        """The step of the newest checkpoint, and the alarm that stopped the run there."""
        state = newest_checkpoint(self.folder / "checkpoints")
        if state is None:
            return 0, None
        restore_learning_state(state, self.generator.parameters, self._optimizer)
        self._average.load_state_dict(state.tensors["ema"], state.values["ema_updates"])
        return state.step, state.values.get("stopped")

    def _finish(self, looks: Looks, outcome: RunOutcome) -> RunOutcome:
        lora, step = self.folder / "lora", outcome.steps
        if outcome.stopped and self.config.looks.on_alarm == "roll-back":
            step = looks.last_good().step
            shutil.copytree(self.folder / "loras" / f"step-{step}", lora, dirs_exist_ok=True)
        else:
            with self._average.swapped_in():
                self.generator.save_lora(lora)
        finished = RunOutcome(outcome.steps, outcome.stopped, step)
        _write_json(self.folder / _OUTCOME, asdict(finished))
        return finished

    def _finished(self) -> RunOutcome | None:
        """How the run ended, unless it is prolonged."""
        path = self.folder / _OUTCOME
        if not path.is_file():
            return None
        found = RunOutcome(**json.loads(path.read_text(encoding="utf-8")))
        return found if found.stopped or found.steps >= self.config.steps else None


def _fingerprint(prompts: Sequence[str]) -> str:
    return f"{len(prompts)}, sha256 {sha256(json.dumps(list(prompts)).encode()).hexdigest()}"


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    with replaced_when_complete(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
