"""What was asked for of a recipe: settings that would do nothing are refused, a former sampler's own give way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.runs.settings import Applies, changed_settings, check_applies, nearest
from dina_lrm.training.config import NoiseLevelSettings, TrainConfig
from dina_lrm.typed import unknown_key

_SAMPLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "uniform": ("low", "high"),
    "constant": ("level",),
    "logit_normal": ("mu", "s"),
    "power": ("exponent",),
    "beta": ("alpha", "beta"),
    "mode": ("scale",),
    "timesteps": ("first", "last", "interval", "total"),
}
"""The parameters of each sampler of noise levels."""
_SHARED: Final = ("name", "stratified", "together")
_LORA: Final = tuple(f"adaptation.{each.name}" for each in fields(LoraSettings))
_UNNAMED: Final = ("model.backbone.", "adaptation.lora.")
_RULES: Final[tuple[Applies[TrainConfig], ...]] = (
    Applies(("epochs",), lambda c: c.steps is None, "--steps None"),
    Applies(("schedule.final_factor",), lambda c: c.schedule.name != "constant", "--schedule.name cosine or linear"),
    Applies(("model.head.",), lambda c: c.model.head_kind == "qformer", "--model.head-kind qformer"),
    Applies(("model.pooled.",), lambda c: c.model.head_kind == "pooled", "--model.head-kind pooled"),
    Applies(_LORA, lambda c: c.adaptation.kind == "lora", "--adaptation.kind lora"),
    Applies(("ema.decay", "ema.warmup"), lambda c: c.ema.enabled, "--ema.enabled"),
    Applies(
        ("objective.teacher.weight",), lambda c: c.objective.teacher.name is not None, "--objective.teacher.name MODEL"
    ),
    Applies(
        ("objective.heterogeneous.gap",),
        lambda c: c.objective.heterogeneous.weight > 0,
        "--objective.heterogeneous.weight above 0",
    ),
    Applies(
        ("schedule.warmup_steps",),
        lambda c: c.steps is None or c.schedule.warmup_steps < c.steps,
        "fewer steps of warm-up than --steps",
    ),
)


def as_asked(config: TrainConfig, recipes: Mapping[str, TrainConfig]) -> TrainConfig:
    """The config of a run that was derived from one of `recipes` by options.

    Another sampler of noise levels than the recipe's does not keep the recipe's parameters. Raises ValueError naming a
    setting that was given and has no effect.
    """
    plain = {name: recipe.to_dict() for name, recipe in recipes.items()}
    recipe = recipes[nearest(config.to_dict(), plain)]
    objective = config.objective
    levels = _levels(objective.noise_levels, recipe.objective.noise_levels)
    config = replace(config, objective=replace(objective, noise_levels=levels))
    check_applies(config, map(_as_given, changed_settings(recipe.to_dict(), config.to_dict())), _RULES)
    return config


def _as_given(name: str) -> str:
    """The name of a setting without its group, where options leave that out."""
    for group in _UNNAMED:
        if name.startswith(group):
            return f"{group.split('.')[0]}.{name.removeprefix(group)}"
    return name


def _levels(asked: NoiseLevelSettings, recipe: NoiseLevelSettings) -> NoiseLevelSettings:
    accepted = _SAMPLERS[asked.name]
    given = {each.name: getattr(asked, each.name) for each in fields(asked) if each.name not in _SHARED}
    foreign = {name: value for name, value in given.items() if value is not None and name not in accepted}
    for name, value in foreign.items():
        if value != getattr(recipe, name):
            where = f"--objective.noise-levels.{name}"
            raise ValueError(f"{unknown_key(where, name, accepted)}, of the sampler {asked.name!r}")
    cleared: dict[str, Any] = dict.fromkeys(foreign)
    return replace(asked, **cleared)
