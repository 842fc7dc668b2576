"""One optimiser step: forward and backward over the micro-batches, checks, clipping, update, moving average."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from peft.helpers import disable_input_dtype_casting
from torch import Tensor

from dina_lrm.precision import compute_dtype
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.learning import Learning
from dina_lrm.runs.moving_average import MovingAverage
from dina_lrm.runs.processes import Processes
from dina_lrm.runs.sharding import let_go, own_rows, whole
from dina_lrm.training.assemble import build_model, build_optimizer, preference_objective, trained_parameters
from dina_lrm.training.batching import MicroBatch, StepInputs
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.faults import NonFiniteError, named, non_finite_names, stop_for_non_finite
from dina_lrm.training.objective import LossOutput, comparison_loss
from dina_lrm.training.randomness import Dropouts
from dina_lrm.training.schedule import learning_rate_factor
from dina_lrm.training.spikes import Spike, SpikeError, SpikeGuard, write_spike
from dina_lrm.training.totals import ScoreTotals, pair_sums


@dataclass(frozen=True)
class StepOutcome:
    """What a step did, summed over all processes."""

    totals: ScoreTotals
    pairs: float
    """Pairs that were read, whatever was said of them."""
    gradient_norm: float
    learning_rate: float
    stop: bool
    """Whether any process asked for the run to stop."""
    spike: Spike | None = None
    """What the step stands out by."""


class Stepper:
    """The weights that learn and everything that changes with them.

    `model` is the bare model; the forward goes through its distributed wrapper where there are several processes. Where
    these hold its weights together, `model` has the rows of this process, and all compute alike or none can.
    """

    def __init__(
        self, config: TrainConfig, model: LatentRewardModel, total_steps: int, processes: Processes, folder: Path
    ) -> None:
        self.config, self.model, self.total_steps = config, model, total_steps
        self.objective = preference_objective(config.objective.preference)
        blocks = [model.backbone.transformer.get_submodule(name) for name in model.backbone.used_blocks]
        self._dropouts = Dropouts(model, config.seed)
        self._wrapped = processes.wrapped(model, blocks)
        self.parameters = trained_parameters(model)
        self.optimizer = build_optimizer(model, config.optimizer)
        ema = config.ema
        self.average = MovingAverage(self.parameters, ema.decay, ema.warmup) if ema.enabled else None
        self.learning = Learning(self.parameters, self.optimizer, self.average)
        self.guard = SpikeGuard(config.spikes)
        self._processes, self._folder = processes, folder
        self._device = processes.device
        self._dtype = compute_dtype(config.compute.precision, self._device)

    def __call__(self, inputs: StepInputs, stop: bool = False) -> StepOutcome:
        """Take one step.

        Raises `NonFiniteError` before the weights are touched when anything is NaN or infinite, and `SpikeError` for a
        spike that is to stop the run.
        """
        rate = self._set_learning_rate(inputs.step)
        outputs = self._backward(inputs)
        norm = self._clip_gradients()
        totals, pairs, norm_value, stop_anywhere = self._reduce(inputs, outputs, norm, stop)
        whole = totals.whole
        if not (math.isfinite(norm_value) and whole.are_finite()):
            raise self._fault(inputs, outputs)
        spike = self._judged(inputs, outputs, whole.mean_loss, norm_value)
        if spike is None or spike.action == "warn":
            self.optimizer.step()
            if self.average is not None:
                self.average.update()
        return StepOutcome(totals, pairs, norm_value, rate, stop_anywhere, spike)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The precision of the run; forwards belong inside."""
        low = self._dtype != torch.float32
        with ExitStack() as stack:
            stack.enter_context(torch.autocast(self._device.type, self._dtype, enabled=low))
            # Autocast brings inputs to bf16 by itself: PEFT's cast to the LoRA's float32 would be undone at once
            stack.enter_context(disable_input_dtype_casting(self.model, active=low))
            yield

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Eval mode with the averaged weights in place; training mode and weights come back afterwards."""
        self.model.eval()
        try:
            with self.average.swapped_in() if self.average is not None else nullcontext():
                yield
                let_go(self.model)
        finally:
            self.model.train()

    def finish(self) -> LatentRewardModel:
        """The model as it is at the end: averaged weights, all of them on every process."""
        if self.average is not None:
            self.average.copy_to_parameters()
        if self._processes.sharding is None:
            return self.model
        finished = build_model(self.config, self._device)
        with torch.no_grad():
            for name, parameter in trained_parameters(finished).items():
                parameter.copy_(whole(self.parameters[name]))
        return finished

    def _set_learning_rate(self, step: int) -> float:
        factor = learning_rate_factor(step, self.total_steps, self.config.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        return self.config.optimizer.lr * factor

    def _backward(self, inputs: StepInputs) -> list[LossOutput]:
        self.optimizer.zero_grad(set_to_none=True)
        outputs = []
        # Processes average their gradients; the loss is a sum over all of them divided by the weight of the whole batch
        divisor = inputs.total_weight / self._processes.count
        for number, micro in enumerate(inputs.micro_batches, start=1):
            last = number == len(inputs.micro_batches)
            with nullcontext() if last else self._processes.unsynchronised(self._wrapped):
                outputs.append(self._forward(micro, divisor, inputs.step))
                outputs[-1].loss.backward()
        return outputs

    def _forward(self, micro: MicroBatch, divisor: float, step: int) -> LossOutput:
        batch = micro.batch.to(self._device)
        level, noise = micro.noise_level.to(self._device), [noise.to(self._device) for noise in micro.noise]
        with self.computing():
            return comparison_loss(
                self._dropouts.scorer(self._wrapped, batch, step),
                self.model.process,
                self.objective,
                batch,
                level,
                noise,
                total_weight=divisor,
                heterogeneous=self.config.objective.heterogeneous,
            )

    def _clip_gradients(self) -> Tensor:
        return self._processes.clip_gradients(self.parameters.values(), self.config.optimizer.clip_norm)

    def _reduce(
        self, inputs: StepInputs, outputs: list[LossOutput], norm: Tensor, stop: bool
    ) -> tuple[ScoreTotals, float, float, bool]:
        """Totals over micro-batches and processes, read from the device once."""
        totals = torch.stack([pair_sums(found) for found in outputs]).sum(0).flatten()
        pairs = sum(len(micro.batch) for micro in inputs.micro_batches)
        flags = torch.tensor([float(pairs), float(stop)], device=totals.device, dtype=totals.dtype)
        everywhere = self._processes.summed(torch.cat([totals, flags]))
        read = torch.cat([everywhere, norm.detach().to(totals.dtype).reshape(1)]).tolist()
        *numbers, every_pair, asked, norm_value = read
        config = self.model.config
        return ScoreTotals.by_name(numbers, config.names, config.main), every_pair, norm_value, asked > 0

    def _judged(self, inputs: StepInputs, outputs: list[LossOutput], loss: float, norm: float) -> Spike | None:
        """The spike that a step is, written down; the numbers are those of all processes, and so is the verdict."""
        spike = self.guard.judge(inputs.step + 1, {"loss": loss, "gradient_norm": norm})
        if spike is None:
            return None
        path = write_spike(self._folder, self._processes.index, spike, _columns(inputs, outputs))
        if spike.action == "stop":
            names = [name for micro in inputs.micro_batches for name in micro.pair_names]
            raise SpikeError(f"{spike.told}, in the pairs {named(names)}; everything is in {path}")
        return spike

    def _fault(self, inputs: StepInputs, outputs: list[LossOutput]) -> NonFiniteError:
        step = inputs.step + 1
        learned = self.parameters.items()
        gradients = ((f"gradient of {name}", own_rows(p.grad)) for name, p in learned if p.grad is not None)
        weights = ((name, own_rows(parameter)) for name, parameter in learned)
        losses = [(name, torch.cat([getattr(o, name).flatten() for o in outputs])) for name in ("scores", "pair_loss")]
        images = [part for micro in inputs.micro_batches for part in micro.batch.images]
        latents = ("latents", torch.cat([part.latents.flatten() for part in images]))
        embeds = ("prompt_embeds", torch.cat([part.conditioning.prompt_embeds.flatten() for part in images]))
        found = non_finite_names([latents, embeds, *weights, *losses, *gradients])
        if not found:
            return NonFiniteError(f"step {step}: a loss or gradient of another process is not finite; see its report")
        return stop_for_non_finite(self._folder, step, self._processes.index, found, _columns(inputs, outputs))


def _columns(inputs: StepInputs, outputs: list[LossOutput]) -> dict[str, list[object]]:
    """The pairs of this process's share of a step, with their margins and losses."""
    parts = zip(inputs.micro_batches, outputs, strict=True)
    pairs: list[object] = [micro.pair_names[row] for micro, found in parts for row in found.judged.pair.tolist()]
    margins, losses = (torch.cat([getattr(o, name) for o in outputs]).tolist() for name in ("margin", "pair_loss"))
    return {"pair": pairs, "margin": margins, "loss": losses}
