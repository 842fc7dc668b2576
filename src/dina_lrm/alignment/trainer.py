"""The run around an alignment algorithm: optimiser, moving average, looks, checkpoints, exact resumption.

A run's folder holds config.json, metrics.jsonl, checkpoints/step-N/, samples/step-N.npz (the looks), and at the end
lora/, which plain diffusers loads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.generator import Generator
from dina_lrm.alignment.objective import Objective
from dina_lrm.alignment.refl import Refl
from dina_lrm.data.files import replaced_when_complete
from dina_lrm.moving_average import MovingAverage
from dina_lrm.run_checkpoints import (
    Checkpoint,
    learning_state,
    newest_checkpoint,
    prune_checkpoints,
    restore_learning_state,
    save_checkpoint,
)
from dina_lrm.run_metrics import MetricsFile


@dataclass(frozen=True)
class Look:
    """Samples of the moving average at a step: uint8 (n, height, width, 3), always of the same prompts and seeds."""

    step: int
    images: np.ndarray
    prompts: tuple[str, ...]
    rewards: dict[str, np.ndarray]
    """Of the objective, one value an image."""


OnLook = Callable[[Look], None]
OnStep = Callable[[int, int, float], None]
"""Called with (step, steps, mean reward)."""


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
    ) -> None:
        self.config, self.generator, self.folder = config, generator, folder
        self._begin(resume)
        self.objective = Objective(generator, config.rewards)
        self._refl = Refl(config, generator, self.objective, prompts)
        self._look_prompts = tuple(look_prompts)
        self._optimizer = torch.optim.AdamW(generator.parameters.values(), lr=config.lr, weight_decay=0.0)
        self._average = MovingAverage(generator.parameters, config.ema_decay)

    def run(self, on_look: OnLook, on_step: OnStep, stop_after: int | None = None) -> int:
        """Train to the end, or until `stop_after` updates; returns the updates done. Looks at step 0 and at the end."""
        start = self._restore()
        last = min(self.config.steps, stop_after or self.config.steps)
        if start == 0:
            self._look(0, on_look)
        with MetricsFile(self.folder, start) as metrics:
            for step in range(start, last):
                self._update(step, metrics, on_look, on_step)
        if last == self.config.steps:
            with self._average.swapped_in():
                self.generator.save_lora(self.folder / "lora")
        return last

    def _update(self, step: int, metrics: MetricsFile, on_look: OnLook, on_step: OnStep) -> None:
        outcome = self._refl.backward(step)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        done = step + 1
        if done % self.config.ema_every == 0:
            self._average.update()
        metrics.write(done, asdict(outcome))
        on_step(done, self.config.steps, outcome.reward)
        finished = done == self.config.steps
        if done % self.config.look_every == 0 or finished:
            self._look(done, on_look)
        if done % self.config.checkpoint_every == 0 or finished:
            self._save(done)

    def _begin(self, resume: bool) -> None:
        path = self.folder / "config.json"
        wanted = self.config.to_dict()
        if path.is_file():
            if not resume:
                raise FileExistsError(f"{self.folder}: holds a run already; add --resume, or give another folder")
            found = json.loads(path.read_text(encoding="utf-8"))
            different = sorted(key for key in wanted if found.get(key) != wanted[key])
            if different:
                raise ValueError(f"{path}: the run was started with other settings: {', '.join(different)}")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with replaced_when_complete(path) as temporary:
            temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")

    @torch.no_grad()
    def _look(self, step: int, on_look: OnLook) -> None:
        config, generator = self.config, self.generator
        prompts = [prompt for prompt in self._look_prompts for _ in range(config.look_images)]
        seeds = [1_000_000 + n for n in range(len(prompts))]
        levels = generator.levels(config.generator.sampling_steps)
        images, rewards = [], []
        with self._average.swapped_in():
            for start in range(0, len(prompts), config.micro_batch):
                some = prompts[start : start + config.micro_batch]
                noise = generator.noise(seeds[start : start + config.micro_batch])
                conditioning = generator.encode_prompts(some)
                latents = generator.denoise(noise, conditioning, levels)
                scores = self.objective(latents, some, conditioning=conditioning)
                rewards.append({name: values.cpu().numpy() for name, values in scores.parts.items()})
                pixels = generator.images(latents).permute(0, 2, 3, 1)
                images.append((pixels * 255).round().to(torch.uint8).cpu().numpy())
        found = {name: np.concatenate([each[name] for each in rewards]) for name in rewards[0]}
        look = Look(step, np.concatenate(images), tuple(prompts), found)
        (self.folder / "samples").mkdir(exist_ok=True)
        np.savez_compressed(self.folder / "samples" / f"step-{step}.npz", images=look.images, prompts=np.array(prompts))
        on_look(look)

    def _save(self, step: int) -> None:
        tensors = learning_state(self.generator.parameters, self._optimizer)
        tensors["ema"] = self._average.state_dict()
        folder = self.folder / "checkpoints"
        save_checkpoint(folder, Checkpoint(step, tensors, {"ema_updates": self._average.updates}))
        prune_checkpoints(folder, keep_last=1)

    def _restore(self) -> int:
        state = newest_checkpoint(self.folder / "checkpoints")
        if state is None:
            return 0
        restore_learning_state(state, self.generator.parameters, self._optimizer)
        self._average.load_state_dict(state.tensors["ema"], state.values["ema_updates"])
        return state.step
