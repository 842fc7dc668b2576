import dataclasses
import json
import subprocess
import sys
from typing import get_args

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.preference.distributions import LEVEL_DISTRIBUTIONS, LogitNormal, Timesteps, Uniform
from dina_lrm.training.config import (
    AdaptationSettings,
    EmaSettings,
    NoiseLevelSettings,
    ObjectiveSettings,
    OptimizerSettings,
    PreferenceName,
    TrainConfig,
)
from dina_lrm.training.settings.levels import _as_text, _from_text

CONFIGS = [
    TrainConfig(),
    TrainConfig(steps=7, adaptation=AdaptationSettings("full", LoraSettings(targets=("to_q",)), random_backbone=True)),
    TrainConfig(objective=ObjectiveSettings(noise_levels=NoiseLevelSettings(LogitNormal(mu=0.8, s=1.0)))),
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


@pytest.mark.parametrize("kind", LEVEL_DISTRIBUTIONS.values())
def test_a_distribution_of_noise_levels_is_one_option(kind):
    words = ["--objective.noise-levels.sampler", *_as_text(kind())]
    assert tyro.cli(TrainConfig, args=words).objective.noise_levels.sampler == kind()
    assert TrainConfig.from_dict(tyro.cli(TrainConfig, args=words).to_dict()).objective.noise_levels.sampler == kind()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("logit_normal:mu=0.5", LogitNormal(mu=0.5)),
        ("uniform", Uniform()),
        ("uniform:low=0.1,high=0.5", Uniform(0.1, 0.5)),
    ],
)
def test_parameters_that_are_left_out_have_their_defaults(text, found):
    assert _from_text([text]) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gaussian", "name: got 'gaussian'; accepted: constant, uniform"),
        ("logit_normal:low=0.1", "unknown key 'low'; .*accepted: mu, s"),
        ("uniform:low=much", "accepted: NAME or NAME:PARAMETER=NUMBER"),
        ("uniform:low", "accepted: NAME or NAME:PARAMETER=NUMBER"),
        ("constant:level=2", "Constant: level: got 2.0; accepted"),
    ],
)
def test_what_is_no_distribution_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        _from_text([text])


@pytest.mark.parametrize(
    ("stored", "today"),
    [
        ({"name": "uniform", "low": None, "high": None, "mu": None}, Uniform()),
        ({"name": "uniform", "low": 0.0, "high": 0.5, "mu": None, "together": 2}, Uniform(0.0, 0.5)),
        ({"name": "timesteps", "last": 501.0}, Timesteps(last=501.0)),
    ],
)
def test_noise_levels_of_earlier_versions_are_read(stored, today):
    found = TrainConfig.from_dict({"objective": {"noise_levels": stored}}).objective.noise_levels
    assert found == NoiseLevelSettings(today, together=stored.get("together", 1))


def test_presets_are_those_of_the_preference_models():
    from dina_lrm.preference.presets import PRESETS

    assert set(get_args(PreferenceName)) == {*PRESETS, "thurstone"}


def test_configs_and_recipes_do_not_import_torch():
    code = "import sys, dina_lrm.training.config, dina_lrm.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
