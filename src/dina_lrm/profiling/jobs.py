"""What people do with a reward model, put together from counted parts: scoring, a training step, a ReFL step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from dina_lrm.profiling.counting import Cost
from dina_lrm.profiling.generators import generator, head_cost, text_cost, transformer_cost, vae_cost
from dina_lrm.profiling.hardware import WEIGHT_BYTES, seconds
from dina_lrm.profiling.pixel_judges import PIXEL_JUDGES, judge_cost


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
        """Plain values, with the estimated seconds on a GPU."""
        return {
            "job": self.job,
            "pixels": self.pixels,
            "batch": self.batch,
            "parameters": self.cost.parameters,
            "forward_flops": self.cost.forward,
            "backward_flops": self.cost.backward,
            "memory_bytes": self.memory_bytes,
            "estimated_seconds": seconds(self.cost, gpu),
        }


def jobs(name: str, pixels: int, batch: int = 1, levels: int = 3) -> list[JobCost]:
    """Scoring with and without encoders, an ensemble of `levels`, a training step, ReFL with latent and pixel rewards.

    A training step is that of `batch` pairs with LoRA; ReFL is one step with gradient of the generator, its reward, and
    the way back (paper, Figure 4).
    """
    chosen = generator(name)

    @cache
    def body(n: int, backward: bool) -> Cost:
        return transformer_cost(name, chosen.depth, n, pixels, backward)

    encoders = sum((text_cost(encoder, batch) for encoder in chosen.text_encoders), Cost())
    one = body(batch, False) + head_cost(name, batch, pixels, 1, False)
    many = body(batch, False).times(levels) + head_cost(name, batch, pixels, levels, False)
    training = body(2 * batch, True) + head_cost(name, 2 * batch, pixels, 1, True)
    step = transformer_cost(name, chosen.blocks, batch, pixels, True)
    # The first blocks are shared with the generator: the reward's only new weights are its head
    shared = body(batch, True)
    reward = Cost(shared.forward, shared.backward, shared.saved_bytes) + head_cost(name, batch, pixels, 1, True)
    decoder = vae_cost(batch, pixels, True, True)
    rows = [
        ("score latents, one level", one),
        (f"score latents, {levels} levels", many),
        ("score images and prompts", vae_cost(batch, pixels, False, False) + encoders + one),
        ("train, one step", training),
        ("reward of a ReFL step, latent", reward),
        ("ReFL step, latent reward", step + reward),
    ]
    for judge in PIXEL_JUDGES:
        pixel = decoder + judge_cost(judge, batch, pixels, True)
        rows += [(f"reward of a ReFL step, {judge}", pixel), (f"ReFL step, {judge}", step + pixel)]
    return [JobCost(job, cost, pixels, batch) for job, cost in rows]


@dataclass(frozen=True)
class DatasetCost:
    """What encoding and one epoch of so many pairs take on one GPU, for two images and one prompt a pair."""

    pairs: int
    storage_bytes: float
    encoding_hours: float
    training_hours: float


def dataset_cost(name: str, pixels: int, pairs: int, gpu: str, latent_bytes: int = 2) -> DatasetCost:
    """Estimated storage (latents and conditioning in `latent_bytes` a number) and hours; images are never shared."""
    chosen = generator(name)
    latents = 2 * 16 * (pixels // 8) ** 2
    conditioning = chosen.text_tokens * 4096 + 2048
    encoders = sum((text_cost(encoder, 1) for encoder in chosen.text_encoders), Cost())
    # In batches, weights are read once for many images: FLOPs decide
    encoding = vae_cost(2, pixels, False, False).flops + encoders.flops
    training = transformer_cost(name, chosen.depth, 2, pixels, True) + head_cost(name, 2, pixels, 1, True)
    hours = [seconds(Cost(forward=flops), gpu) * pairs / 3600 for flops in (encoding, training.flops)]
    return DatasetCost(pairs, float(pairs * (latents + conditioning) * latent_bytes), *hours)
