"""What people do with a reward model, put together from counted parts: scoring, a training step, a ReFL step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from dina_lrm.profiling.counting import Cost, by_batch
from dina_lrm.profiling.encoders import text_cost, vae_cost
from dina_lrm.profiling.generators import FullSizeGenerator, generator, head_cost, transformer_cost
from dina_lrm.profiling.hardware import WEIGHT_BYTES, seconds
from dina_lrm.profiling.pixel_judges import PIXEL_JUDGES, judge_cost
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.typed import DinaError

_SIDE: Final = 16
"""Pixels of a token's side: a side of an image is a multiple of it."""


@dataclass(frozen=True)
class JobCost:
    """A job, its cost, and what stands on a GPU while it runs: weights, and what autograd keeps."""

    job: str
    cost: Cost
    pixels: int
    batch: int

    @property
    def memory_bytes(self) -> float:
        """Weights in bfloat16 and kept activations: a lower bound of the peak."""
        return self.cost.parameters * WEIGHT_BYTES + self.cost.saved_bytes

    def to_dict(self, gpu: str) -> dict[str, Any]:
        """Plain values, with the estimated seconds and items a second on a GPU."""
        expected = seconds(self.cost, gpu)
        return {
            "job": self.job,
            "pixels": self.pixels,
            "batch": self.batch,
            "parameters": self.cost.parameters,
            "forward_flops": self.cost.forward,
            "backward_flops": self.cost.backward,
            "memory_bytes": self.memory_bytes,
            "estimated_seconds": expected,
            "estimated_per_second": self.batch / expected,
        }


def jobs(
    chosen: FullSizeGenerator, pixels: int, batch: int = 1, levels: int = 3, judges: Sequence[str] = tuple(PIXEL_JUDGES)
) -> list[JobCost]:
    """Encoding, scoring with and without encoders, an ensemble of `levels`, a training step, ReFL with a latent reward
    and with each of the pixel rewards `judges`.

    A training step is that of `batch` pairs with LoRA; ReFL is one step with gradient of the generator, its reward, and
    the way back (paper, Figure 4).
    """
    image = by_batch(lambda n: vae_cost(n, pixels, False, False), batch)
    prompt = _prompts(chosen, batch)
    one = _reward(chosen, pixels, batch, 1).forward_only()
    many = _reward(chosen, pixels, batch, levels).forward_only()
    step = by_batch(lambda n: transformer_cost(chosen, chosen.blocks, n, pixels, True), batch)
    # The first blocks are shared with the generator: the reward's only new weights are its head
    body = _body(chosen, pixels, batch).without_weights()
    reward = body + by_batch(lambda n: head_cost(chosen, n, pixels, 1, True), batch)
    decoder = by_batch(lambda n: vae_cost(n, pixels, True, True), batch)
    rows = [
        ("encode images", image),
        ("encode prompts", prompt),
        ("score latents, one level", one),
        (f"score latents, {levels} levels", many),
        ("score images and prompts", image + prompt + one),
        ("train, one step", _reward(chosen, pixels, 2 * batch, 1)),
        ("ReFL reward, latent", reward),
        ("ReFL step, latent", step + reward),
    ]
    for judge in judges:
        pixel = decoder + by_batch(partial(judge_cost, judge, backward=True), batch)
        rows += [(f"ReFL reward, {judge}", pixel), (f"ReFL step, {judge}", step + pixel)]
    return [JobCost(job, cost, pixels, batch) for job, cost in rows]


def _prompts(chosen: FullSizeGenerator, batch: int) -> Cost:
    return sum((by_batch(partial(text_cost, name), batch) for name in chosen.text_encoders), Cost())


def _body(chosen: FullSizeGenerator, pixels: int, images: int) -> Cost:
    return by_batch(lambda n: transformer_cost(chosen, chosen.depth, n, pixels, True), images)


def _reward(chosen: FullSizeGenerator, pixels: int, images: int, levels: int) -> Cost:
    """Blocks once a level and the head on all of them, with the way back to the latents and to the head's weights."""
    head = by_batch(lambda n: head_cost(chosen, n, pixels, levels, True), images)
    return _body(chosen, pixels, images).times(levels) + head


@dataclass(frozen=True)
class DatasetCost:
    """What encoding and one epoch of so many pairs take on one GPU, for two images and one prompt a pair."""

    pairs: int
    storage_bytes: float
    encoding_hours: float
    training_hours: float


def dataset_cost(chosen: FullSizeGenerator, pixels: int, pairs: int, gpu: str, latent_bytes: int = 2) -> DatasetCost:
    """Estimated storage (latents and conditioning in `latent_bytes` a number) and hours; images are never shared."""
    numbers = 2 * 16 * (pixels // 8) ** 2 + chosen.conditioning
    # In batches, weights are read once for many images: FLOPs decide
    encoding = by_batch(lambda n: vae_cost(n, pixels, False, False), 2).flops + _prompts(chosen, 1).flops
    training = _reward(chosen, pixels, 2, 1).flops
    hours = [seconds(Cost(forward=flops), gpu) * pairs / 3600 for flops in (encoding, training)]
    return DatasetCost(pairs, float(pairs * numbers * latent_bytes), *hours)


@dataclass(frozen=True)
class Counted:
    """The jobs of a generator at several sizes, and what a data set of each side takes, on one GPU."""

    subject: str
    gpu: str
    rows: tuple[JobCost, ...]
    datasets: dict[int, DatasetCost]
    """By the side of the images in pixels."""

    def of(self, pixels: int, batch: int) -> list[JobCost]:
        """The jobs on images of that side, so many at once."""
        return [row for row in self.rows if (row.pixels, row.batch) == (pixels, batch)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        datasets = [{"pixels": side, **asdict(cost)} for side, cost in self.datasets.items()]
        return {
            "subject": self.subject,
            "gpu": self.gpu,
            "jobs": [row.to_dict(self.gpu) for row in self.rows],
            "datasets": datasets,
        }


def counted(
    subject: str,
    sizes: Sequence[tuple[int, int]],
    gpu: str,
    levels: int = 3,
    judges: Sequence[str] = tuple(PIXEL_JUDGES),
    pairs: int = 800_000,
    report: ReportProgress = lambda done, total: None,
) -> Counted:
    """Count the `jobs` of the generator `subject` at each size, (side in pixels, batch), and a data set of `pairs`.

    `report` is called with (sizes done, sizes). Raises ValueError for an unknown generator, GPU or judge, and for a
    side that is no multiple of 16.
    """
    wrong = [side for side, _ in sizes if side % _SIDE]
    if wrong:
        raise DinaError(f"--resolution {wrong[0]}; accepted: multiples of {_SIDE}")
    chosen, rows, datasets = generator(subject), [], {}
    for done, (side, batch) in enumerate(sizes):
        report(done, len(sizes))
        rows += jobs(chosen, side, batch, levels, judges)
        datasets[side] = dataset_cost(chosen, side, pairs, gpu)
    report(len(sizes), len(sizes))
    return Counted(subject, gpu, tuple(rows), datasets)
