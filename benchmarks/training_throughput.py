"""Training steps against a plain baseline: `python -m benchmarks.training_throughput [--steps N] [--json FILE]`.

Both train the same LoRA and head, from the same start, on the same batches with the same noise, in one process:

| | plain | ours (`dina_lrm.training`) |
|---|---|---|
| forwards | two a batch: first images, second images | one over the distinct images of the batch |
| images shared by pairs | forwarded once for each pair | forwarded once |
| prompts | encoded in every forward, twice for each pair | encoded once, before training |
| precision | float32 | what the hardware multiplies fastest: bfloat16 or float32 |
| optimiser, average | a loop over tensors | fused AdamW, one call for all tensors |
| `--compute.compile` | no | no, and once more with it: the blocks compiled, after the warm-up |

The plain side is what a short training script does; it is not slowed down otherwise (the same truncated depth, nothing
computed that is not used). One workload has all pairs of eight images a prompt, as the bundled recipe trains on; in the
other no two pairs share an image or a prompt. Losses of the two must agree, step by step. The competitors take
turns; the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measuring import cpu_saving, speed_up, timed_in_turn
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.locate import BUNDLED
from dina_lrm.preference.loss import fidelity_loss
from dina_lrm.recipes import recipe
from dina_lrm.recipes.data import encoding_backbone
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.processes import Processes
from dina_lrm.synthetic.comparisons import sample_comparisons, training_comparisons
from dina_lrm.synthetic.encoding import encode
from dina_lrm.training.assemble import compute_dtype, preference_objective, reward_model_config
from dina_lrm.training.batching import StepInputs
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import Trainer


class PlainTraining:
    """Training as a short script does it."""

    def __init__(self, config: TrainConfig, data: EncodedComparisons) -> None:
        self.config, self.data = config, data
        self.model = LatentRewardModel.build(reward_model_config(config), dtype=torch.float32, seed=config.seed).train()
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.averages = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.optimizer.lr, weight_decay=config.optimizer.weight_decay
        )
        self.preference = preference_objective(config.objective.preference).model

    def step(self, inputs: StepInputs, rate: float) -> float:
        """One step on the pairs, levels and noise of `inputs`; returns the loss."""
        (micro,) = inputs.micro_batches
        batch = micro.batch
        group = batch.group[batch.first]
        level, noise = micro.noise_level[group], micro.noise[0][group]
        prompts = [self.data.prompts[row] for row in self._prompt_rows(micro.pair_names)]
        margin = self._scores(batch.latents[batch.first], noise, level, prompts)
        margin = margin - self._scores(batch.latents[batch.second], noise, level, prompts)
        log_first, log_second = self.preference.log_probabilities(margin, self.model.process.sigma(level))
        loss = fidelity_loss(log_first, log_second, batch.preference).mean()
        for group_ in self.optimizer.param_groups:
            group_["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config.optimizer.clip_norm or float("inf"))
        self.optimizer.step()
        with torch.no_grad():
            for average, parameter in zip(self.averages, self.parameters, strict=True):
                average.mul_(0.99).add_(parameter, alpha=0.01)
        return loss.item()

    def _scores(self, latents: Tensor, noise: Tensor, level: Tensor, prompts: list[str]) -> Tensor:
        with torch.no_grad():
            conditioning = self.model.backbone.encode_prompts(prompts)
        scores = self.model(self.model.process.add_noise(latents, noise, level), level, conditioning)
        return self.model.main_of(scores)

    def _prompt_rows(self, names: Sequence[str]) -> list[int]:
        rows = {name: row for row, name in enumerate(self.data.pairs.pair_id)}
        return [int(self.data.pairs.prompt[rows[name]]) for name in names]


@dataclass(frozen=True)
class Measured:
    """Rates in pairs a second of each competitor, its speed-up over the plain one, and how far the losses are apart."""

    workload: str
    pairs_per_step: float
    images_per_step: float
    pairs_per_second: dict[str, float]
    ratio: dict[str, str]
    cpu_ratio: dict[str, str]
    largest_loss_difference: float
    tolerance: float


def measure(name: str, config: TrainConfig, data: EncodedComparisons, steps: int, rounds: int) -> Measured:
    """Train all competitors for `rounds` rounds of `steps` steps after two that warm up and compile."""
    warm_up = 2
    with tempfile.TemporaryDirectory() as place:
        trainers = {
            label: Trainer(TrainingPlan(changed, data, place, quiet=True), Processes())
            for label, changed in {
                "ours": config,
                "ours, compiled": replace(config, compute=replace(config.compute, compile=True)),
            }.items()
        }
        plain = PlainTraining(config, data)
        source = trainers["ours"].source
        losses: dict[str, list[float]] = {label: [] for label in ("plain", *trainers)}
        rates: list[float] = []

        def ours(label: str) -> None:
            for _ in range(steps):
                outcome = trainers[label].stepper(source(len(losses[label])))
                losses[label].append(outcome.totals.mean_loss)
                if label == "ours":
                    rates.append(outcome.learning_rate)

        def baseline() -> None:
            for _ in range(steps):
                number = len(losses["plain"])
                losses["plain"].append(plain.step(source(number), rates[number]))

        jobs = {label: partial(ours, label) for label in trainers} | {"plain": baseline}
        times = timed_in_turn(jobs, rounds, warm_up)
        inputs = [source(number).micro_batches[0].batch for number in range(len(rates))]
    timed = inputs[warm_up * steps :]
    pairs = sum(len(batch) for batch in timed) / len(timed)
    low = compute_dtype(config.compute.precision, torch.device("cpu")) != torch.float32
    return Measured(
        workload=name,
        pairs_per_step=pairs,
        images_per_step=sum(len(batch.latents) for batch in timed) / len(timed),
        pairs_per_second={label: pairs * steps / timing.median for label, timing in times.items()},
        ratio={label: str(speed_up(times["plain"], times[label])) for label in trainers},
        cpu_ratio={label: str(cpu_saving(times["plain"], times[label])) for label in trainers},
        largest_loss_difference=max(
            abs(a - b) for label in trainers for a, b in zip(losses["plain"], losses[label], strict=True)
        ),
        tolerance=0.02 if low else 1e-3,
    )


def workloads(config: TrainConfig, pairs: int) -> dict[str, tuple[TrainConfig, EncodedComparisons]]:
    """Comparisons of the synthetic world, encoded once: rankings of eight images, and pairs that share nothing."""
    backbone = encoding_backbone(config)
    made = {
        "28 pairs of 8 images": training_comparisons(max(3, pairs // 28)),
        "pairs of their own": sample_comparisons(pairs, 2, seed=0, source="pairs"),
    }
    return {name: (config, encode(comparisons, backbone)) for name, comparisons in made.items()}


def benchmark_config(generator: str | None, folder: Path) -> TrainConfig:
    """The `synthetic` recipe on the given generator, else the bundled one, else an untrained one of its shape."""
    config = recipe("synthetic")
    if generator is None and BUNDLED["synthetic"]["generator"].is_dir():
        generator = "synthetic"
    if generator is None:
        from dina_lrm.synthetic.architecture import build_pipeline

        generator = str(folder / "generator")
        build_pipeline(seed=0).save_pretrained(generator)
    return replace(
        config,
        model=replace(config.model, backbone=replace(config.model.backbone, pretrained=generator)),
        # The comparison is of steps: a warm-up would make the first ones trivial, an average differ by its decay
        schedule=replace(config.schedule, warmup_steps=0),
        log=replace(config.log, trackers=()),
    )


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", help="a folder or hub id; by default the bundled generator")
    parser.add_argument("--steps", type=int, default=2, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=1_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        config = benchmark_config(given.generator, Path(place))
        dtype = compute_dtype(config.compute.precision, torch.device("cpu"))
        name = config.model.backbone.pretrained
        print(f"training: {name}, {dtype}, {torch.get_num_threads()} threads, {given.rounds} rounds")
        found = [
            measure(name, *work, given.steps, given.rounds) for name, work in workloads(config, given.pairs).items()
        ]
    for row in found:
        _print(row)
    result: dict[str, object] = {
        "generator": config.model.backbone.pretrained,
        "dtype": str(dtype),
        "threads": torch.get_num_threads(),
        "workloads": [asdict(row) for row in found],
    }
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _print(row: Measured) -> None:
    print(f"\n{row.workload}: {row.pairs_per_step:.0f} pairs and {row.images_per_step:.0f} images a step")
    for label, rate in sorted(row.pairs_per_second.items(), reverse=True):
        gain = f"   {row.ratio[label]} as fast, CPU {row.cpu_ratio[label]} less" if label in row.ratio else ""
        print(f"  {label:<14} {rate:8.1f} pairs/s{gain}")
    verdict = "as it should" if row.largest_loss_difference < row.tolerance else "TOO FAR APART"
    print(f"  losses differ by at most {row.largest_loss_difference:.1e} (accepted {row.tolerance:g}): {verdict}")


if __name__ == "__main__":
    main()
