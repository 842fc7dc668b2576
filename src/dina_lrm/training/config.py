"""What a training run is: one typed, frozen tree of plain values.

A run is a complete `TrainConfig`; variants derive from one with `dataclasses.replace`. Nothing here imports torch, so
that the command line can list and check recipes at once, where an `arg(name="")` leaves the name of a group out of its
options; `training.assemble` turns the plain values into objects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import tyro

from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.data.buckets import Sizes
from dina_lrm.heads.names import check_known, check_names
from dina_lrm.heads.settings import HeadConfig, PooledConfig, QFormerConfig, check_one_score
from dina_lrm.precision import Precision
from dina_lrm.preference.distributions import LEVEL_DISTRIBUTIONS, LevelDistribution, Uniform
from dina_lrm.runs.checkpoints.kept import Measure
from dina_lrm.runs.ranges import (
    ABOVE_0,
    COUNT,
    COUNT_OR_0,
    NOT_NEGATIVE,
    SEED,
    UNIT,
    UNIT_ABOVE_0,
    UNIT_BELOW_1,
    check_ranges,
    ranged,
)
from dina_lrm.runs.trackers import Tracker
from dina_lrm.training.former_settings import moved_settings
from dina_lrm.training.settings.levels import LEVELS_AS_TEXT
from dina_lrm.training.settings.scores import check_score_settings
from dina_lrm.training.spike_settings import SpikeSettings
from dina_lrm.typed import from_plain, one_of, require, to_plain

Adaptation = Literal["lora", "frozen", "full"]
LossName = Literal["fidelity", "nll"]
PreferenceName = Literal["paper", "released", "fixed", "released-fixed", "bradley-terry", "lrm", "thurstone"]
HeadKind = Literal["qformer", "pooled"]
Weighting = Literal["pair", "prompt", "group"]
HeldOutBy = Literal["auto", "prompt", "image"]
ScheduleName = Literal["constant", "cosine", "linear"]


_SD35M: Final = BackboneConfig(
    "sd3", "stabilityai/stable-diffusion-3.5-medium", depth=12, visual_taps=(4, 8, 12), text_taps=(4, 8, 12)
)


@dataclass(frozen=True)
class ModelSettings:
    """Which reward model is trained, and how it will score when it is done."""

    backbone: Annotated[BackboneConfig, tyro.conf.arg(name="")] = _SD35M
    resolution: int = ranged(1024, COUNT)
    """Side of the square bucket in pixels; other buckets have about the same area."""
    buckets: tuple[str, ...] = ()
    """In the place of that sizes of pictures as WIDTHxHEIGHT, or "paper"; by default those of the cache that is
    trained on."""
    noise_level: float = ranged(0.4, UNIT)
    """Level at which the trained model scores unless told otherwise."""
    ensemble_levels: tuple[float, ...] = ranged((0.2, 0.5, 0.7), UNIT)
    """Noise levels in [0, 1] that an ensemble reads together unless told otherwise."""
    head_kind: HeadKind = "qformer"
    """The paper's query transformer, described by `head`, or LRM's pooled maps, described by `pooled`."""
    head: QFormerConfig = field(default_factory=QFormerConfig)
    pooled: PooledConfig = field(default_factory=PooledConfig)
    scores: tuple[str, ...] = ()
    """Names of the scores that the head gives from one pass, each learned from what comparisons say of it by name;
    none: a single one, learned from their plain preference, as is one that is called "overall"."""
    main_score: str | None = None
    """The one that is given where none is asked for; None = the first."""

    def __post_init__(self) -> None:
        check_ranges(self, "model")
        check_names("model.scores", self.scores)
        if self.main_score is not None:
            check_known("model.main_score", self.main_score, self.scores or ("none, without model.scores",))
        if self.head_kind == "pooled":
            check_one_score(len(self.scores) or 1)
        Sizes.of_model(self.resolution, self.buckets)
        guidance, reading = self.backbone.guidance, self.backbone.reading
        require(0 <= guidance < math.inf, "model.guidance", guidance, "a finite number of at least 0")
        require(reading == "own", "model.reading", reading, "'own': a new model reads a generator as it is run")
        require(bool(self.ensemble_levels), "model.ensemble_levels", self.ensemble_levels, "at least one noise level")

    @property
    def sizes(self) -> Sizes:
        """Return the sizes that pictures are brought to."""
        return Sizes.of_model(self.resolution, self.buckets)

    @property
    def chosen_head(self) -> HeadConfig:
        """Return the head's settings that `head_kind` chooses."""
        return self.pooled if self.head_kind == "pooled" else self.head


@dataclass(frozen=True)
class AdaptationSettings:
    """Which weights of the backbone learn: LoRA (the paper), none ("frozen") or all ("full")."""

    kind: Adaptation = "lora"
    """"lora" trains a low-rank update (the paper), "frozen" nothing of the generator, "full" all its weights."""
    lora: Annotated[LoraSettings, tyro.conf.arg(name="")] = field(default_factory=LoraSettings)
    """What learns where the kind is "lora"."""
    random_backbone: bool = False
    """Baseline: replace the pretrained weights by fresh ones drawn from the seed of the run."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Type that the LoRA is kept and stepped in; bf16 halves its memory, and loses small updates."""

    def __post_init__(self) -> None:
        require(self.lora.alpha > 0, "adaptation.alpha", self.lora.alpha, "a finite number above 0")


@dataclass(frozen=True)
class PreferenceSettings:
    """P(a preferred | margin, noise level) and its loss, by the name of a preset of `preference.presets`.

    "thurstone" is the noise-calibrated model with the `k` and `variance_floor` given here.
    """

    name: PreferenceName = "paper"
    """Preset: "paper" is noise-calibrated, "released" has the constants of the published code, "fixed" and
    "released-fixed" one variance at every noise level, "bradley-terry" none; "lrm" is LRM's, "thurstone" yours."""
    k: float = ranged(2.0, NOT_NEGATIVE)
    """thurstone: growth of the variance with sigma^2; 0 = the same variance at every noise level."""
    variance_floor: float = ranged(0.01, ABOVE_0)
    """thurstone: the variance of a score of a clean picture."""
    loss: LossName | None = None
    """None = that of the preset."""

    def __post_init__(self) -> None:
        check_ranges(self, "objective.preference")
        for name, default in (("k", 2.0), ("variance_floor", 0.01)):
            told = f"{default} with the preset {self.name!r}, whose constants are its own; name thurstone takes others"
            used = self.name == "thurstone" or getattr(self, name) == default
            require(used, f"objective.preference.{name}", getattr(self, name), told)


@dataclass(frozen=True)
class NoiseLevelSettings:
    """Which noise levels are trained on."""

    sampler: Annotated[LevelDistribution, LEVELS_AS_TEXT] = one_of(Uniform(), LEVEL_DISTRIBUTIONS)  # noqa: RUF009 - a field
    """The distribution they are drawn from: constant:level=0.2, uniform:low=0,high=0.5, logit_normal:mu=0.8,s=1,
    power:exponent=2, beta:alpha=1,beta=1, mode:scale=1.29 or timesteps:first=1,last=951,interval=50,total=1000 (LRM's);
    what is left out has its default."""
    stratified: bool = True
    """Spread the levels of a batch evenly over the distribution: each is still drawn from it, the mean varies less."""
    together: int = ranged(1, COUNT)
    """Noise levels at which the head reads each image at once: above 1 an ensemble is trained, not only scored.

    A step then costs that many backbone passes."""

    def __post_init__(self) -> None:
        check_ranges(self, "objective.noise_levels")


@dataclass(frozen=True)
class TeacherSettings:
    """Distillation: labels are mixed with the win probabilities of a trained reward model on the same generator."""

    name: str | None = None
    """The teacher: "synthetic", a folder or a hub id; None = labels as they are."""
    weight: float = ranged(0.5, UNIT)
    """Share of the teacher in every label, in [0, 1]; one of a named score where comparisons say nothing of it has all
    of it."""
    of: dict[str, str] = field(default_factory=dict)
    """Teachers of named scores: a reward model, or one of its scores (FOLDER?score=NAME), by the name of ours."""
    gap: float | None = ranged(None, NOT_NEGATIVE)
    """Teach the order of the teacher's scores, of pairs whose z-scores differ by more; None = its win probabilities."""

    def __post_init__(self) -> None:
        check_ranges(self, "objective.teacher")


@dataclass(frozen=True)
class HeterogeneousSettings:
    """LRM's heterogeneous pairs: an image at two nearby noise levels, of which the cleaner state is preferred."""

    weight: float = ranged(0.0, NOT_NEGATIVE)
    """Weight of their loss beside that of the comparisons; 0 = none. Above 0, a step costs twice as many backbone
    passes."""
    gap: float = ranged(0.05, UNIT_ABOVE_0)
    """Between the two noise levels, in (0, 1]; the higher one is at most 1."""

    def __post_init__(self) -> None:
        check_ranges(self, "objective.heterogeneous")


@dataclass(frozen=True)
class ObjectiveSettings:
    """The loss that is minimised."""

    preference: PreferenceSettings = field(default_factory=PreferenceSettings)
    noise_levels: NoiseLevelSettings = field(default_factory=NoiseLevelSettings)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    weighting: Weighting = "pair"
    """"prompt" divides the weight of a comparison by the number of comparisons of its prompt (LRM). "group" is a mean
    over the pairs of each prompt, for each score by itself, then over prompts; teachers judge all pairs of a prompt's
    pictures then, not only those of the data (LRR)."""
    heterogeneous: HeterogeneousSettings = field(default_factory=HeterogeneousSettings)
    score_weights: dict[str, float] = field(default_factory=dict)
    """Weight of what is said of each named score beside the others; 1 where nothing else is said."""

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

    kind: Literal["fused", "foreach", "8bit"] = "fused"
    """"fused": one kernel for all tensors, "foreach": one for each operation, "8bit" (bitsandbytes): small moments."""
    lr: float = ranged(5e-5, ABOVE_0)
    """Learning rate of the LoRA, and of the head where nothing else is said."""
    head_lr: float | None = ranged(None, ABOVE_0)
    """Learning rate of the head; None = `lr`."""
    weight_decay: float = ranged(0.01, NOT_NEGATIVE)
    """Decoupled weight decay of AdamW."""
    betas: tuple[float, float] = ranged((0.9, 0.999), UNIT_BELOW_1)
    """Decay of AdamW's two moving averages, of the gradient and of its square."""
    eps: float = ranged(1e-8, ABOVE_0)
    """Added to the root of AdamW's second moment."""
    clip_norm: float | None = ranged(1.0, ABOVE_0)
    """Largest norm of the whole gradient; None = no clipping."""

    def __post_init__(self) -> None:
        check_ranges(self, "optimizer")


@dataclass(frozen=True)
class ScheduleSettings:
    """Factor on the learning rates over the run: linear warm-up, then constant, cosine or linear decay."""

    name: ScheduleName = "constant"
    """Shape after the warm-up: constant, cosine or linear."""
    warmup_steps: int = ranged(0, COUNT_OR_0)
    """Steps over which the learning rates rise from 0."""
    final_factor: float = ranged(0.0, UNIT)
    """What cosine and linear end at."""

    def __post_init__(self) -> None:
        check_ranges(self, "schedule")


@dataclass(frozen=True)
class EmaSettings:
    """Exponential moving average of the trained weights: used for evaluation and for the exported model."""

    enabled: bool = True
    """Evaluate and export averaged weights; else those of the last step."""
    decay: float = ranged(0.995, UNIT_BELOW_1)
    """What is kept of the average at each step, in [0, 1)."""
    warmup: bool = True
    """Start from a short memory, decay_n = min(decay, (1 + n) / (10 + n)), so that short runs forget their start."""

    def __post_init__(self) -> None:
        check_ranges(self, "ema")


@dataclass(frozen=True)
class ComputeSettings:
    """How it is computed; none of these changes what is computed, but for rounding."""

    precision: Precision = "auto"
    """auto = bf16 where the hardware has it, else fp32."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time."""
    compile: bool = False
    """Compile the backbone's blocks (regional compilation)."""
    attention_backend: str | None = None
    """A name of diffusers' attention dispatcher, or "tiled" (processors in bfloat16); None = its default."""
    linears: Literal["full", "int8", "float8"] = "full"
    """What frozen linear layers are multiplied in; 8 bits change scores a little, and float8 is emulated on most."""
    accumulation: int = ranged(1, COUNT)
    """Micro-batches that each process cuts its share of a batch into."""
    micro_tokens: int | None = ranged(None, COUNT)
    """Most tokens of a micro-batch, counted as `batch_tokens` are; `accumulation` then has no effect."""

    def __post_init__(self) -> None:
        check_ranges(self, "compute")


@dataclass(frozen=True)
class LogSettings:
    """When the run writes numbers and checkpoints; everything is counted in optimiser steps."""

    log_every: int = ranged(10, COUNT)
    """Steps between two lines of metrics.jsonl."""
    checkpoint_every: int = ranged(500, COUNT_OR_0)
    """0 = only at the end."""
    keep_last: int = ranged(3, COUNT)
    """Checkpoints that are kept, the newest."""
    keep_best: int = ranged(0, COUNT_OR_0)
    """Checkpoints that are kept beside the newest: those of the steps at which the held-out pairs were read best."""
    best_by: Measure = "accuracy"
    """What is best: the highest accuracy, or the lowest loss."""
    evaluate_every: int = ranged(0, COUNT_OR_0)
    """0 = only at the end."""
    trackers: tuple[Tracker, ...] = ("tensorboard",)
    """Where numbers go beside metrics.jsonl: tensorboard, wandb, trackio; none for nowhere."""

    def __post_init__(self) -> None:
        check_ranges(self, "log")
        measured = self.keep_best == 0 or self.evaluate_every > 0
        require(measured, "log.keep_best", self.keep_best, "0 without --log.evaluate-every, which says when to measure")


@dataclass(frozen=True)
class TrainConfig:
    """A complete run."""

    name: str = "custom"
    """What the run is called in reports and cards."""
    seed: int = ranged(0, SEED)
    """Decides the start, the batches, the noise levels and the noise."""
    steps: int | None = ranged(None, COUNT)
    """Optimiser steps; None = `epochs` passes over the data."""
    epochs: float = ranged(1.0, ABOVE_0)
    """Passes over the data, where `steps` is None."""
    batch_size: int = ranged(64, COUNT)
    """Pairs a step, over all processes and micro-batches."""
    batch_tokens: int | None = ranged(None, COUNT)
    """Tokens a step instead of pairs: of both pictures of a pair, and of its prompt beside each. Large pictures then
    come in smaller batches, and the device is as full at every size."""
    initial: str | None = None
    """A reward model of the same architecture to begin from, by name, folder or hub id; None = a new head and LoRA."""
    validation_by: HeldOutBy = "auto"
    """What is held out whole: prompts, or pictures ("image"); auto = prompts, with one prompt pictures, and with few
    pictures pairs."""
    validation_fraction: float = ranged(0.0, UNIT_BELOW_1)
    """Share held out of training when no validation set is given: of the prompts; with one prompt, of the pictures or,
    where these are few, of the pairs."""
    model: ModelSettings = field(default_factory=ModelSettings)
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    ema: EmaSettings = field(default_factory=EmaSettings)
    spikes: SpikeSettings = field(default_factory=SpikeSettings)
    compute: ComputeSettings = field(default_factory=ComputeSettings)
    log: LogSettings = field(default_factory=LogSettings)

    def __post_init__(self) -> None:
        check_ranges(self)
        frozen = self.adaptation.kind != "full" and not self.adaptation.random_backbone
        told = "full where weights of the generator learn or are stored"
        require(frozen or self.compute.linears == "full", "compute.linears", self.compute.linears, told)
        objective, scores = self.objective, self.model.scores
        check_score_settings(scores, objective.score_weights, objective.teacher.of, objective.teacher.name)

    @property
    def judged_scores(self) -> dict[str, float]:
        """The named scores that are learned, in the order of the head's outputs, each with its weight; none: one."""
        return {name: self.objective.score_weights.get(name, 1.0) for name in self.model.scores}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` reads them back to an equal config."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Read plain values strictly: an unknown key or a wrong type raises `ValueError` naming it."""
        return from_plain(cls, in_todays_places(values))

    @classmethod
    def stored_in(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The settings among what a file holds: the config.json of a run, which says of its data too, or settings."""
        stored = values.get("train")
        return in_todays_places(stored) if isinstance(stored, Mapping) and "versions" in values else dict(values)


def in_todays_places(values: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings with those of the backbone and of the LoRA where they stand today.

    Earlier versions stored them beside the others of `model` and `adaptation`, and the parameters of all distributions
    of noise levels beside each other.
    """
    return moved_settings(values, {("model", "backbone"): _SD35M, ("adaptation", "lora"): LoraSettings()})
