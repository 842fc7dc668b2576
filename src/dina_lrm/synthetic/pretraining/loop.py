"""The training loop that both stages share: schedule, batches, checkpoints, averaging."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from dina_lrm.runs.checkpoints.kept import Kept
from dina_lrm.runs.checkpoints.stored import keep_checkpoint
from dina_lrm.runs.learning import Learning
from dina_lrm.runs.metrics import MetricsFile
from dina_lrm.runs.moving_average import MovingAverage
from dina_lrm.runs.stopping import StopRequest, stop_on_signals, stopped_sentence
from dina_lrm.typed import DinaError

Report = Callable[[str, int, int, float], None]
"""Called as (stage, step, steps, loss)."""
_LOG_EVERY: Final = 10
"""Steps between two lines of metrics.jsonl."""
_KEPT: Final = Kept(last=1)
"""Checkpoints."""


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear warm-up, then a cosine down to 2 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))))


def batch_rows(n: int, batch_size: int, seed: int, start: int) -> Iterator[Tensor]:
    """Endless index batches, each epoch a new permutation; the same sequence from any start."""
    per_epoch = n // batch_size
    if not 0 < batch_size <= n:
        raise DinaError(f"batches of {batch_size} from {n} rows; accepted: 1 to {n}")
    step = start
    while True:
        epoch, position = divmod(step, per_epoch)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))
        for i in range(position, per_epoch):
            yield order[i * batch_size : (i + 1) * batch_size]
            step += 1


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a stage trains; `ema` 0 keeps the last weights instead of an average."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup: int = 100
    ema: float = 0.0


class Interrupted(Exception):
    """A signal asked the training to stop; its state is saved, and the same call goes on."""


class Stage:
    """One stage: its modules, optimiser and average; checkpoints and metrics.jsonl lie in `folder`."""

    def __init__(
        self, name: str, modules: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule, folder: Path
    ) -> None:
        self.name, self.schedule, self.folder = name, schedule, folder
        parameters = dict(modules.named_parameters())
        average = MovingAverage(parameters, schedule.ema) if schedule.ema else None
        self._learning = Learning(parameters, optimizer, average)

    def run(self, n: int, seed: int, loss_of: Callable[[Tensor, int], Tensor], every: float, report: Report) -> float:
        """Train on `n` rows; `loss_of(rows, step)` is minimised. Returns the smoothed loss at the end.

        Raises Interrupted after the step in which SIGINT or SIGTERM came.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        found = self._learning.resume(self.folder, _KEPT)
        start = 0 if found is None else found.step
        rows = batch_rows(n, self.schedule.batch_size, seed, start)
        with stop_on_signals() as stop, MetricsFile(self.folder, start) as metrics:
            smooth = self._steps(start, lambda step: loss_of(next(rows), step), every, report, stop, metrics)
        if self._learning.average is not None:
            self._learning.average.copy_to_parameters()
        return smooth

    def _steps(
        self,
        start: int,
        loss_of: Callable[[int], Tensor],
        every: float,
        report: Report,
        stop: StopRequest,
        metrics: MetricsFile,
    ) -> float:
        schedule, smooth, saved = self.schedule, float("nan"), time.monotonic()
        for step in range(start, schedule.steps):
            rate = learning_rate(step, schedule.steps, schedule.learning_rate, schedule.warmup)
            for group in self._learning.optimizer.param_groups:
                group["lr"] = rate
            loss = loss_of(step)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"{self.name}: the loss of step {step + 1} is {loss.item()}")
            self._update(loss)
            smooth = loss.item() if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss.item()
            report(self.name, step + 1, schedule.steps, smooth)
            asked = bool(stop)  # once: what is asked for later is saved after the next step
            ends = asked or step + 1 == schedule.steps
            if ends or (step + 1) % _LOG_EVERY == 0:
                metrics.write(step + 1, {"loss": loss.item(), "smoothed_loss": smooth, "learning_rate": rate})
            if ends or time.monotonic() - saved > every:
                metrics.sync()
                self._save(step + 1)
                saved = time.monotonic()
            if asked:
                told = stopped_sentence(stop.reason, step + 1, schedule.steps, goes_on="the same command")
                raise Interrupted(f"{self.name}: {told}")
        return smooth

    def _update(self, loss: Tensor) -> None:
        loss.backward()
        nn.utils.clip_grad_norm_(self._learning.parameters.values(), 1.0)
        self._learning.optimizer.step()
        self._learning.optimizer.zero_grad(set_to_none=True)
        if self._learning.average is not None:
            self._learning.average.update()

    def _save(self, step: int) -> None:
        keep_checkpoint(self.folder, self._learning.checkpoint(step, {"stage": self.name}), _KEPT)
