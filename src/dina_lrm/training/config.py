"""What a training run is: one typed, frozen tree of plain values.

A run is a complete `TrainConfig`; variants derive from one with `dataclasses.replace`. Nothing here imports torch, so
that the command line can list and check recipes at once; `training.assemble` turns the plain values into objects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dina_lrm.precision import Precision
from dina_lrm.run_trackers import Tracker
from dina_lrm.typed import from_plain, require, to_plain

Adaptation = Literal["lora", "frozen", "full"]
LossName = Literal["fidelity", "nll"]
PreferenceName = Literal["paper", "released", "fixed", "released-fixed", "bradley-terry", "lrm", "thurstone"]
SamplerName = Literal["uniform", "constant", "logit_normal", "power", "beta", "mode", "timesteps"]
HeadKind = Literal["qformer", "pooled"]
Weighting = Literal["pair", "prompt"]
ScheduleName = Literal["constant", "cosine", "linear"]


@dataclass(frozen=True)
class HeadSettings:
    """Shape of the Q-Former head (`heads.qformer.QFormerConfig`); width None = the width of the backbone."""

    width: int | None = None
    queries: int = 4
    attention_heads: int = 8
    use_proj_in: bool = False
    use_text: bool = True
    mask_text_padding: bool = False
    logistic: bool = False
    dropout: float = 0.0


@dataclass(frozen=True)
class PooledSettings:
    """Shape of LRM's head (`heads.pooled.PooledConfig`)."""

    width: int | None = None
    guidance: float = 7.5
    guided: Literal["last", "all"] = "last"
    text_projection: bool = True
    logit_scale: float = 2.6592


@dataclass(frozen=True)
class ModelSettings:
    """Which reward model is trained, and how it will score when it is done."""

    pretrained: str = "stabilityai/stable-diffusion-3.5-medium"
    """The generator: "synthetic", a folder, or a hub id."""
    family: str = "sd3"
    revision: str | None = None
    depth: int = 12
    """Blocks of the generator that are used."""
    visual_taps: tuple[int, ...] = (4, 8, 12)
    """Features are read after that many blocks."""
    text_taps: tuple[int, ...] = (4, 8, 12)
    prompt_length: int = 128
    """Tokens of the long text encoder (T5 of SD3 and FLUX); 0 for a Stable Diffusion 3 without T5."""
    guidance: float = 3.5
    """What goes into models that have an embedding for guidance (FLUX.1-dev); others do not see it."""
    resolution: int = 1024
    """Side of the square bucket in pixels; other buckets have about the same area."""
    noise_level: float = 0.4
    """Level at which the trained model scores unless told otherwise."""
    ensemble_levels: tuple[float, ...] = (0.2, 0.5, 0.7)
    head_kind: HeadKind = "qformer"
    """The paper's query transformer, described by `head`, or LRM's pooled maps, described by `pooled`."""
    head: HeadSettings = field(default_factory=HeadSettings)
    pooled: PooledSettings = field(default_factory=PooledSettings)

    def __post_init__(self) -> None:
        require(self.depth >= 1, "model.depth", self.depth, "an integer of at least 1")
        for name, taps in (("visual_taps", self.visual_taps), ("text_taps", self.text_taps)):
            require(all(0 <= tap <= self.depth for tap in taps), f"model.{name}", taps, f"taps in 0..{self.depth}")
        require(0 <= self.noise_level <= 1, "model.noise_level", self.noise_level, "a number in [0, 1]")


@dataclass(frozen=True)
class AdaptationSettings:
    """Which weights of the backbone learn: LoRA (the paper), none ("frozen") or all ("full")."""

    kind: Adaptation = "lora"
    rank: int = 64
    alpha: float = 128.0
    dropout: float = 0.0
    targets: tuple[str, ...] | None = None
    """Names of the adapted linear layers; None = the family's attention projections of every stream."""
    init: Literal["gaussian", True] = "gaussian"
    random_backbone: bool = False
    """Baseline: replace the pretrained weights by fresh ones drawn from the seed of the run."""

    def __post_init__(self) -> None:
        require(self.rank >= 1, "adaptation.rank", self.rank, "an integer of at least 1")
        require(0 <= self.dropout < 1, "adaptation.dropout", self.dropout, "a number in [0, 1)")


@dataclass(frozen=True)
class PreferenceSettings:
    """P(a preferred | margin, noise level) and its loss, by the name of a preset of `preference.presets`.

    "thurstone" is the noise-calibrated model with the `k` and `variance_floor` given here.
    """

    name: PreferenceName = "paper"
    k: float = 2.0
    variance_floor: float = 0.01
    loss: LossName | None = None
    """None = that of the preset."""


@dataclass(frozen=True)
class NoiseLevelSettings:
    """Which noise levels are trained on: a sampler of `preference.noise_levels` and its parameters.

    None leaves a parameter at the sampler's own default; one that the named sampler does not have is an error.
    """

    name: SamplerName = "uniform"
    low: float | None = None
    """uniform: from `low` to `high`."""
    high: float | None = None
    level: float | None = None
    """constant."""
    mu: float | None = None
    """logit_normal: sigmoid of N(mu, s^2)."""
    s: float | None = None
    exponent: float | None = None
    """power."""
    alpha: float | None = None
    """beta: `alpha` and `beta`."""
    beta: float | None = None
    scale: float | None = None
    """mode."""
    first: float | None = None
    """timesteps: `first` to `last` by `interval`, of `total`; LRM's are 1, 51, ..., 951 of 1000."""
    last: float | None = None
    interval: float | None = None
    total: float | None = None
    stratified: bool = True
    """Spread the levels of a batch evenly over the distribution: each is still drawn from it, the mean varies less."""
    together: int = 1
    """Noise levels at which the head reads each image at once: above 1 an ensemble is trained, not only scored.

    A step then costs that many backbone passes."""

    def __post_init__(self) -> None:
        require(self.together >= 1, "objective.noise_levels.together", self.together, "an integer of at least 1")


@dataclass(frozen=True)
class TeacherSettings:
    """Distillation: labels are mixed with the win probabilities of a trained reward model on the same generator."""

    name: str | None = None
    """The teacher: "synthetic", a folder or a hub id; None = labels as they are."""
    weight: float = 0.5
    """Share of the teacher in every label, in [0, 1]."""

    def __post_init__(self) -> None:
        require(0 <= self.weight <= 1, "objective.teacher.weight", self.weight, "a number in [0, 1]")


@dataclass(frozen=True)
class HeterogeneousSettings:
    """LRM's heterogeneous pairs: an image at two nearby noise levels, of which the cleaner state is preferred."""

    weight: float = 0.0
    """Of their loss beside that of the comparisons; 0 = none. Above 0, a step costs twice as many backbone passes."""
    gap: float = 0.05
    """Between the two noise levels, in (0, 1]; the higher one is at most 1."""

    def __post_init__(self) -> None:
        finite = 0 <= self.weight < math.inf
        require(finite, "objective.heterogeneous.weight", self.weight, "a finite number, at least 0")
        require(0 < self.gap <= 1, "objective.heterogeneous.gap", self.gap, "a number above 0, at most 1")


@dataclass(frozen=True)
class ObjectiveSettings:
    """What is minimised."""

    preference: PreferenceSettings = field(default_factory=PreferenceSettings)
    noise_levels: NoiseLevelSettings = field(default_factory=NoiseLevelSettings)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    weighting: Weighting = "pair"
    """"prompt" divides the weight of a comparison by the number of comparisons of its prompt (LRM)."""
    heterogeneous: HeterogeneousSettings = field(default_factory=HeterogeneousSettings)

    def __post_init__(self) -> None:
        together = self.noise_levels.together
        require(
            together == 1 or self.heterogeneous.weight == 0,
            "objective.heterogeneous.weight",
            self.heterogeneous.weight,
            f"0 with objective.noise_levels.together = {together}: a state of such a pair has one level",
        )


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW."""

    lr: float = 5e-5
    head_lr: float | None = None
    """Learning rate of the head; None = `lr`."""
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip_norm: float | None = 1.0
    """Largest norm of the whole gradient; None = no clipping."""

    def __post_init__(self) -> None:
        for name, rate in (("lr", self.lr), ("head_lr", self.head_lr)):
            if rate is not None:
                require(rate >= 0 and math.isfinite(rate), f"optimizer.{name}", rate, "a finite number, at least 0")
        if self.clip_norm is not None:
            require(self.clip_norm > 0, "optimizer.clip_norm", self.clip_norm, "a number above 0, or none")


@dataclass(frozen=True)
class ScheduleSettings:
    """Factor on the learning rates over the run: linear warm-up, then constant, cosine or linear decay."""

    name: ScheduleName = "constant"
    warmup_steps: int = 0
    final_factor: float = 0.0
    """What cosine and linear end at."""

    def __post_init__(self) -> None:
        require(self.warmup_steps >= 0, "schedule.warmup_steps", self.warmup_steps, "an integer of at least 0")


@dataclass(frozen=True)
class EmaSettings:
    """Exponential moving average of the trained weights: used for evaluation and for the exported model."""

    enabled: bool = True
    decay: float = 0.995
    warmup: bool = True
    """Start from a short memory, decay_n = min(decay, (1 + n) / (10 + n)), so that short runs forget their start."""

    def __post_init__(self) -> None:
        require(0 <= self.decay < 1, "ema.decay", self.decay, "a number in [0, 1)")


@dataclass(frozen=True)
class ComputeSettings:
    """How it is computed; none of these changes what is computed, but for rounding."""

    precision: Precision = "auto"
    """auto = bf16 where the hardware has it, else fp32."""
    gradient_checkpointing: bool = False
    compile: bool = False
    """Compile the backbone's blocks (regional compilation)."""
    attention_backend: str | None = None
    """A name of diffusers' attention dispatcher; None = its default."""
    accumulation: int = 1
    """Micro-batches that each process cuts its share of a batch into."""

    def __post_init__(self) -> None:
        require(self.accumulation >= 1, "compute.accumulation", self.accumulation, "an integer of at least 1")


@dataclass(frozen=True)
class LogSettings:
    """What is written while the run goes on; everything is counted in optimiser steps."""

    log_every: int = 10
    checkpoint_every: int = 500
    keep_last: int = 3
    evaluate_every: int = 0
    """0 = only at the end."""
    trackers: tuple[Tracker, ...] = ("tensorboard",)

    def __post_init__(self) -> None:
        require(self.log_every >= 1, "log.log_every", self.log_every, "an integer of at least 1")
        require(self.checkpoint_every >= 0, "log.checkpoint_every", self.checkpoint_every, "an integer, 0 = at the end")
        require(self.keep_last >= 1, "log.keep_last", self.keep_last, "an integer of at least 1")
        require(self.evaluate_every >= 0, "log.evaluate_every", self.evaluate_every, "an integer, 0 = at the end")


@dataclass(frozen=True)
class TrainConfig:
    """A complete run. `batch_size` counts pairs per optimiser step over all processes and micro-batches."""

    name: str = "custom"
    seed: int = 0
    steps: int | None = None
    """Optimiser steps; None = `epochs` passes over the data."""
    epochs: float = 1.0
    batch_size: int = 64
    initial: str | None = None
    """A reward model of the same architecture to begin from, by name, folder or hub id; None = a new head and LoRA."""
    validation_fraction: float = 0.0
    """Share of the prompts held out of training when no validation set is given."""
    model: ModelSettings = field(default_factory=ModelSettings)
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    ema: EmaSettings = field(default_factory=EmaSettings)
    compute: ComputeSettings = field(default_factory=ComputeSettings)
    log: LogSettings = field(default_factory=LogSettings)

    def __post_init__(self) -> None:
        require(self.steps is None or self.steps >= 1, "steps", self.steps, "an integer of at least 1, or none")
        require(self.epochs > 0, "epochs", self.epochs, "a number above 0")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "an integer of at least 1")
        require(
            0 <= self.validation_fraction < 1, "validation_fraction", self.validation_fraction, "a number in [0, 1)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` reads them back to an equal config."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Read plain values strictly: an unknown key or a wrong type raises `ValueError` naming it."""
        return from_plain(cls, values)
