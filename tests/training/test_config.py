import dataclasses
import json
import subprocess
import sys
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.training.config import (
    AdaptationSettings,
    EmaSettings,
    NoiseLevelSettings,
    ObjectiveSettings,
    OptimizerSettings,
    PreferenceName,
    SamplerName,
    TrainConfig,
)

CONFIGS = [
    TrainConfig(),
    TrainConfig(steps=7, adaptation=AdaptationSettings("full", LoraSettings(targets=("to_q",)), random_backbone=True)),
    TrainConfig(objective=ObjectiveSettings(noise_levels=NoiseLevelSettings("logit_normal", mu=0.8, s=1.0))),
    TrainConfig(optimizer=OptimizerSettings(lr=1e-3, head_lr=2e-3, clip_norm=None), ema=EmaSettings(enabled=False)),
]


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_round_trip_through_json(config):
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_settings_of_earlier_versions_are_read_into_todays_places():
    config = TrainConfig(adaptation=AdaptationSettings("lora", LoraSettings(rank=3)))
    config = dataclasses.replace(
        config, model=dataclasses.replace(config.model, backbone=BackboneConfig("flux", "folder", 4, (1, 4), (0,)))
    )
    plain = config.to_dict()
    for group, part, new in (("model", "backbone", "reading"), ("adaptation", "lora", "exclude")):
        moved = plain[group].pop(part)
        del moved[new]
        plain[group] |= moved
    assert plain["model"]["depth"] == 4 and plain["adaptation"]["rank"] == 3
    assert TrainConfig.from_dict(plain) == config


def test_missing_keys_take_the_defaults():
    assert TrainConfig.from_dict({"optimizer": {"lr": 0.1}}) == TrainConfig(optimizer=OptimizerSettings(lr=0.1))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"ema_decay": 0.9}, ["config.ema_decay", "accepted: name, seed"]),
        ({"ema": {"decai": 0.9}}, ["config.ema.decai", "did you mean 'decay'?"]),
        ({"optimizer": {"learning_rate": 1.0}}, ["config.optimizer.learning_rate", "lr, head_lr"]),
        ({"steps": "many"}, ["config.steps", "expected int, got 'many'"]),
        ({"seed": True}, ["config.seed", "expected int"]),
        ({"batch_size": 0}, ["batch_size", "got 0"]),
        ({"adaptation": {"kind": "lore"}}, ["config.adaptation.kind", "'lora', 'frozen', 'full'"]),
        ({"model": {"visual_taps": [4, 13]}}, ["model.backbone: visual_taps", "(4, 13)", "0..12"]),
        ({"optimizer": {"betas": [0.9]}}, ["config.optimizer.betas", "expected 2 values, got 1"]),
        ({"ema": 0.9}, ["config.ema", "expected a table"]),
    ],
)
def test_mistakes_are_named(values, said):
    with pytest.raises(ValueError) as error:
        TrainConfig.from_dict(values)
    for text in said:
        assert text in str(error.value)


@given(st.text(min_size=1))
def test_no_other_key_is_ever_accepted(key):
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    if key not in names:
        with pytest.raises(ValueError, match="unknown key"):
            TrainConfig.from_dict({key: 1})


def test_noise_level_settings_are_the_parameters_of_all_samplers():
    from dina_lrm.preference.noise_levels import NOISE_LEVEL_SAMPLERS

    own = {field.name for field in dataclasses.fields(NoiseLevelSettings)} - {"name", "stratified", "together"}
    assert own == {field.name for kind in NOISE_LEVEL_SAMPLERS.values() for field in dataclasses.fields(kind)}
    assert set(get_args(SamplerName)) == set(NOISE_LEVEL_SAMPLERS)


def test_presets_are_those_of_the_preference_models():
    from dina_lrm.preference.presets import PRESETS

    assert set(get_args(PreferenceName)) == {*PRESETS, "thurstone"}


def test_configs_and_recipes_do_not_import_torch():
    code = "import sys, dina_lrm.training.config, dina_lrm.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
