"""An alignment as one job: the generator is loaded and checked, runs in its folder, and its LoRA is written.

```python
prompts = hold_out_last(PromptSet("mine", captions), config.looks.prompts)
AlignmentJob(config, prompts, Path("runs/refl")).run(on_look=lambda look: print(look.step, look.means()))
```
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.long_prompts import readable_prompts
from dina_lrm.alignment.monitor.looks import Look
from dina_lrm.alignment.pairs.learned import LearnedPairs, learned_pairs
from dina_lrm.alignment.pairs.losses import level_weight
from dina_lrm.alignment.pairs.source import PairSource
from dina_lrm.alignment.run_folder import RunOutcome
from dina_lrm.alignment.trainer import AlignmentRun, OnLook, OnStep, Say
from dina_lrm.backbones.lora_export import Layout, check_export, write_export
from dina_lrm.data.held_out import HeldOut, same_text
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.load import loaded_generator
from dina_lrm.runs.lock import held_folder
from dina_lrm.runs.processes import Processes
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.sampling.tuned import WEIGHTS


@dataclass(frozen=True)
class Aligned:
    """How a job ended: `export` is the LoRA's file in the layout that was asked for.

    Seconds are those of the last update, and of a picture of the last look; None where there was none.
    """

    outcome: RunOutcome
    export: Path | None
    update_seconds: float | None
    picture_seconds: float | None


@dataclass(frozen=True)
class AlignmentJob:
    """A configuration, the prompts to learn from and to look at, and the folder of the run.

    `resume` goes on from the newest checkpoint in the folder; `export` writes folder/lora-LAYOUT.safetensors beside the
    LoRA that diffusers reads; a `rehearsal` checks that it can and does not, and misses no looks.
    """

    config: AlignConfig
    prompts: HeldOut
    folder: Path
    device: str = "cpu"
    resume: bool = False
    export: Layout | None = None
    rehearsal: bool = False
    pairs: PairSource | None = None
    """What offline preferences are learned from, in place of the generator's own samples."""

    def run(
        self,
        processes: Processes | None = None,
        on_look: OnLook = lambda look: None,
        on_step: OnStep = lambda step, steps, reward: None,
        say: Say = lambda text: None,
        on_encoded: ReportProgress = lambda done, total: None,
    ) -> Aligned:
        """Train what is missing, until the end, an alarm that stops, or SIGINT or SIGTERM, which finish the update.

        `on_look` and `on_step` are told of looks and updates as they are done, `say` what else is to be known,
        `on_encoded` of (pictures and prompts encoded, all of them).
        Raises ValueError, before anything is learned, for prompts, rewards, settings or a layout that do not fit the
        generator, and FileExistsError for a folder that holds a run, without `resume`.
        """
        processes = processes or Processes(cpu=self.device == "cpu")
        generator = self._generator(processes)
        held = self._prompts(generator, say if processes.main else lambda text: None)
        trained, shown = list(held.trained.prompts), list(held.shown.prompts)
        told: Say = (lambda text: None) if self.rehearsal else say
        learned = None
        if self.pairs is not None:
            learned = self._learned(self.pairs, generator, held, processes, say, on_encoded)
            trained = list(learned.prompts)
        run = AlignmentRun(self.config, generator, trained, shown, self.folder, self.resume, processes, told, learned)
        taken, window = self.config.number_of_looks(), self.config.looks.window
        if taken < window and not self.rehearsal:
            say(f"{taken} looks, and an alarm needs {window} (--looks.window): none can sound")
        if self.config.win_rates and self.config.looks.images == 1 and not self.rehearsal:
            say("--looks.images 1: looks have no two images of a prompt to tell by whether win rates are calibrated")
        clock = _Clock(time.perf_counter())
        outcome = run.run(clock.looking(on_look), clock.stepping(on_step))
        export = self._export(generator) if processes.main and not outcome.interrupted else None
        return Aligned(outcome, export, clock.update_seconds, clock.picture_seconds)

    def _generator(self, processes: Processes) -> Generator:
        """The generator, whose LoRA can be exported as asked."""
        device = str(processes.device) if processes.count > 1 else self.device
        generator = loaded_generator(self.config.generator, device, self.config.seed)
        if self.export is not None:
            check_export(self.export, generator.backbone.config.family)
        return generator

    def _learned(
        self,
        source: PairSource,
        generator: Generator,
        held: HeldOut,
        processes: Processes,
        say: Say,
        on_encoded: ReportProgress,
    ) -> LearnedPairs:
        """The pairs that are learned from, encoded beside the run where they are not yet; of a rehearsal, a few."""
        assert isinstance(self.config, DpoConfig), "pairs are given to offline preferences alone"
        # A weighting that this generator's process has not is refused before anything is encoded
        level_weight(torch.tensor(0.5), self.config.dpo.weighting, generator.process)
        trained = set(held.trained.prompts)
        looked_at = {same_text(prompt) for prompt in held.shown.prompts}
        learned_from: Callable[[str], bool] = trained.__contains__
        readable = lambda prompt: learned_from(prompt) or same_text(prompt) in looked_at  # noqa: E731
        kto = self.config.dpo.kind == "kto"
        if self.rehearsal:
            if processes.main:
                say(f"{source.name}: {source.size()}")
            few = source.encoded(generator, self.config.generator, learned_from, None, most=2 * self.config.batch_size)
            return learned_pairs(few, readable, held.shown.prompts, kto)
        with held_folder(self.folder, processes.main):
            place = self.folder / "cache"
            found = source.encoded(generator, self.config.generator, readable, place, on_encoded)
        processes.wait()
        pairs = learned_pairs(found, readable, held.shown.prompts, kto)
        if processes.main:
            say(f"{source.name}: {pairs.told(kto)}")
        return pairs

    def _prompts(self, generator: Generator, say: Say) -> HeldOut:
        """The prompts, all of which the generator can read."""
        copies = self.prompts.left_out
        if copies and self.pairs is None:
            say(f"{copies} of --prompts are left out: their text is that of a prompt that is looked at")
        return readable_prompts(self.prompts, generator, self.config.long_prompts, say)

    def _export(self, generator: Generator) -> Path | None:
        if self.export is None or self.rehearsal:
            return None
        file = self.folder / f"lora-{self.export}.safetensors"
        write_export(self.folder / "lora" / WEIGHTS, file, self.export, generator.backbone, generator.pipeline)
        return file


@dataclass
class _Clock:
    """When updates were done, and how long a picture of the last look took."""

    began: float
    updates: list[float] = field(default_factory=list)
    picture_seconds: float | None = None

    @property
    def update_seconds(self) -> float | None:
        return self.updates[-1] - self.updates[-2] if len(self.updates) > 1 else None

    def stepping(self, on_step: OnStep) -> OnStep:
        def timed(step: int, steps: int, reward: float) -> None:
            on_step(step, steps, reward)
            self.updates.append(time.perf_counter())

        return timed

    def looking(self, on_look: OnLook) -> Callable[[Look], None]:
        def timed(look: Look) -> None:
            self.picture_seconds = (time.perf_counter() - (self.updates or [self.began])[-1]) / len(look.images)
            on_look(look)

        return timed
