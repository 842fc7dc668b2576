"""What one update of each objective of `align` takes at full size, with a reward of latents and with one of pixels.

All sample alike, so that the objectives are compared and not their recipes: ten steps without guidance, and beyond that
each objective's own defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

from diffusers import FlowMatchEulerDiscreteScheduler

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.algorithms.grpo.dense_settings import DenseSettings
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig, ReflSettings
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.trainer import ALGORITHMS
from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.generators.schedule import sampling_levels
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.profiling.counting import Cost, by_batch
from dina_lrm.profiling.encoders import AUTOENCODER, vae_cost
from dina_lrm.profiling.generators import FullSizeGenerator, head_cost, transformer_cost
from dina_lrm.profiling.hardware import WEIGHT_BYTES
from dina_lrm.profiling.passes import UpdatePasses, is_counted, passes_of
from dina_lrm.profiling.pixel_judges import judge_cost

STEPS: Final = 10
"""Sampling steps of every objective."""
_BATCH: Final = 288
"""Images an update: groups of 16 and of 18 are whole in it."""
_SHIFT: Final = 3.0
"""Of Stable Diffusion 3.5's schedule; it decides which steps lie in bands of noise levels."""
_DECODING: Final = 5
"""Tensors of a picture and the decoder's first width that stand at once while it decodes without a graph."""


@dataclass(frozen=True)
class UpdateCost:
    """FLOPs for each image of an update (of DPO: for each pair), and the bytes that stand at the peak of a micro-batch.

    `latent` with the latent reward, `pixel` with one of pixels behind the decoder; None where such a reward cannot be
    read.
    """

    objective: str
    passes: UpdatePasses
    latent_flops: float
    latent_bytes: float
    pixel_flops: float | None
    pixel_bytes: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Updates:
    """What an update of each objective takes, on images of `pixels`, `batch` of them at once."""

    subject: str
    pixels: int
    batch: int
    judge: str
    """The reward of pixels."""
    rows: tuple[UpdateCost, ...]
    not_counted: tuple[str, ...] = ()
    """Objectives whose passes nobody has counted."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "rows": [row.to_dict() for row in self.rows]}


def update_costs(subject: str, chosen: FullSizeGenerator, pixels: int, batch: int, judge: str) -> Updates:
    """Count an update of every objective of `align`, with the latent reward and with the judge of pixels."""
    step = by_batch(lambda n: transformer_cost(chosen, chosen.blocks, n, pixels, True), batch)
    body = by_batch(lambda n: transformer_cost(chosen, chosen.depth, n, pixels, True), batch).without_weights()
    head = by_batch(lambda n: head_cost(chosen, n, pixels, 1, True), batch)
    latent = body + head
    pixel = by_batch(lambda n: vae_cost(n, pixels, True, True), batch)
    pixel = pixel + by_batch(partial(judge_cost, judge, backward=True), batch)
    decoding = _DECODING * AUTOENCODER["block_out_channels"][0] * pixels**2 * WEIGHT_BYTES * batch
    levels = sampling_levels(
        FlowMatchEulerDiscreteScheduler(shift=_SHIFT), RectifiedFlow(), STEPS, (pixels // 16) ** 2
    ).tolist()
    rows, unknown = [], []
    for name, config in full_size_objectives():
        if not is_counted(config):
            unknown.append(name)
            continue
        passes = passes_of(config, levels)
        flops = _flops(passes, step, latent) + passes.heads * head.forward
        with_latent = flops / batch, _peak(passes, step, latent, 0.0)
        with_pixel = _flops(passes, step, pixel) / batch, _peak(passes, step, pixel, decoding)
        rows.append(UpdateCost(name, passes, *with_latent, *((None, None) if passes.states else with_pixel)))
    return Updates(subject, pixels, batch, judge, tuple(rows), tuple(unknown))


def full_size_objectives() -> Iterator[tuple[str, AlignConfig]]:
    """Every objective with its name, as it comes, and ways of it that cost otherwise."""
    generator = GeneratorSettings(sampling_steps=STEPS, guidance=1.0)
    refl = ReflConfig(generator=generator, refl=ReflSettings(first=7, last=STEPS - 1))
    yield "refl", refl
    for way in ("draft", "drtune"):
        for count in (1, 2, 4):
            yield f"refl, {way} {count}", replace(refl, refl=replace(refl.refl, through=way, through_steps=count))
    yield "refl, prfl", replace(refl, refl=replace(refl.refl, through="prfl", first=0))
    for kind in ALGORITHMS:
        if kind is not ReflConfig:
            config = kind(generator=generator, batch_size=_BATCH, micro_batch=8)
            yield kind.algorithm, config
            yield from ((f"{kind.algorithm}, {way}", other) for way, other in _ways(config))


def _ways(config: AlignConfig) -> Iterator[tuple[str, AlignConfig]]:
    """Other ways of an objective, with their names."""
    if isinstance(config, GrpoConfig):
        grpo = config.grpo
        noisy, clean, ahead = DenseSettings("noisy"), DenseSettings("clean"), DenseSettings("look-ahead")
        ways = {"noisy states": (noisy, 0.0), "noisy states, KL": (noisy, 1.0), "clean": (clean, 0.0)}
        for way, (dense, kl) in {**ways, "look-ahead": (ahead, 0.0)}.items():
            yield way, replace(config, grpo=replace(grpo, credit="dense", dense=dense, kl_weight=kl))
        yield "gated KL", replace(config, grpo=replace(grpo, kl_weight=1.0, kl_gate=("jpeg-size",)))
    elif isinstance(config, LpoConfig):
        yield "groups", replace(config, lpo=replace(config.lpo, loss="group"))
    elif isinstance(config, DistillConfig):
        yield "guided teacher", replace(config, distill=replace(config.distill, guidance=3.0))


def _flops(passes: UpdatePasses, step: Cost, reward: Cost) -> float:
    learned = passes.learned * step.flops + passes.gradients * reward.flops
    return passes.sampled * step.forward + learned + passes.scores * reward.forward


def _peak(passes: UpdatePasses, step: Cost, reward: Cost, decoding: float) -> float:
    """Weights, and the largest of what stands at once: graphs of passes, of the reward, a picture that is decoded."""
    graphs, used = passes.graphs * step.saved_bytes, passes.gradients + passes.scores > 0
    alone = reward.saved_bytes if passes.gradients else 0.0
    held = graphs + alone if passes.joined else max(graphs, alone, decoding if used else 0.0)
    return (step.parameters + (reward.parameters if used else 0)) * WEIGHT_BYTES + held
