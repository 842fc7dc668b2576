"""What was asked for of a recipe: settings that would do nothing are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.runs.settings import Applies, changed_settings, check_applies, nearest
from dina_lrm.training.config import TrainConfig

_LORA: Final = tuple(f"adaptation.{each.name}" for each in fields(LoraSettings))
_UNNAMED: Final = ("model.backbone.", "adaptation.lora.")
_RULES: Final[tuple[Applies[TrainConfig], ...]] = (
    Applies(("epochs",), lambda c: c.steps is None, "--steps None"),
    Applies(("schedule.final_factor",), lambda c: c.schedule.name != "constant", "--schedule.name cosine or linear"),
    Applies(("model.head.",), lambda c: c.model.head_kind == "qformer", "--model.head-kind qformer"),
    Applies(("model.pooled.",), lambda c: c.model.head_kind == "pooled", "--model.head-kind pooled"),
    Applies(_LORA, lambda c: c.adaptation.kind == "lora", "--adaptation.kind lora"),
    Applies(("log.best_by",), lambda c: c.log.keep_best > 0, "--log.keep-best above 0"),
    Applies(("adaptation.precision",), lambda c: c.adaptation.kind == "lora", "--adaptation.kind lora"),
    Applies(
        ("spikes.threshold", "spikes.window"), lambda c: c.spikes.action != "off", "--spikes.action warn, skip or stop"
    ),
    Applies(("ema.decay", "ema.warmup"), lambda c: c.ema.enabled, "--ema.enabled"),
    Applies(
        ("objective.teacher.weight", "objective.teacher.gap"),
        lambda c: c.objective.teacher.name is not None or bool(c.objective.teacher.of),
        "--objective.teacher.name MODEL or --objective.teacher.of SCORE MODEL",
    ),
    Applies(
        ("objective.heterogeneous.gap",),
        lambda c: c.objective.heterogeneous.weight > 0,
        "--objective.heterogeneous.weight above 0",
    ),
    Applies(
        ("compute.accumulation",),
        lambda c: c.compute.micro_tokens is None,
        "micro-batches by number, without --compute.micro-tokens",
    ),
    Applies(
        ("schedule.warmup_steps",),
        lambda c: c.steps is None or c.schedule.warmup_steps < c.steps,
        "fewer steps of warm-up than --steps",
    ),
)


def as_asked(config: TrainConfig, recipes: Mapping[str, TrainConfig]) -> TrainConfig:
    """The config of a run that was derived from one of `recipes` by options.

    Raises ValueError naming a setting that was given and has no effect.
    """
    plain = {name: recipe.to_dict() for name, recipe in recipes.items()}
    recipe = recipes[nearest(config.to_dict(), plain)]
    check_applies(config, map(_as_given, changed_settings(recipe.to_dict(), config.to_dict())), _RULES)
    return config


def _as_given(name: str) -> str:
    """The name of a setting without its group, where options leave that out."""
    for group in _UNNAMED:
        if name.startswith(group):
            return f"{group.split('.')[0]}.{name.removeprefix(group)}"
    return name
