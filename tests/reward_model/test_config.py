"""The configuration of a reward model: strict, complete, and equal after a round trip through JSON."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dina_lrm import __version__
from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.preference.likelihood import BradleyTerry, Thurstone
from dina_lrm.reward_model.config import RewardModelConfig
from tests.models import tiny_config


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lora": None},
        {"lora": None, "own_backbone": True},
        {"lora": LoraSettings(targets=("to_q",), init=True)},
        {"preference": BradleyTerry()},
        {"preference": Thurstone(k=0.0, variance_floor=0.25)},
        {"notes": {"results": [{"set": "a", "accuracy": 0.9}], "steps": 3, "ok": True}},
        {"ensemble_levels": (0.1,), "noise_level": 1.0, "temperature": 2.0},
    ],
)
def test_survives_json(changes: dict[str, Any]) -> None:
    config = tiny_config("synthetic", **changes)
    assert RewardModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_records_the_library_that_wrote_it() -> None:
    assert tiny_config("synthetic").to_dict()["library_version"] == __version__


def test_defaults_fill_what_is_left_out() -> None:
    values = {"backbone": tiny_config("synthetic").to_dict()["backbone"]}
    config = RewardModelConfig.from_dict(values)
    assert (config.noise_level, config.ensemble_levels, config.preference) == (0.4, (0.2, 0.5, 0.7), Thurstone())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_level": 1.5}, r"config\.noise_level: got 1\.5; accepted: noise levels in \[0, 1\]"),
        ({"ensemble_levels": (0.2, -1.0)}, r"config\.ensemble_levels: got -1\.0"),
        ({"ensemble_levels": ()}, r"config\.ensemble_levels: got \(\); accepted: at least one"),
        ({"score_std": 0.0}, r"config\.score_std: got 0\.0; accepted: a finite number above 0"),
        ({"score_mean": float("nan")}, r"config\.score_mean: got nan"),
        ({"temperature": -1.0}, r"config\.temperature: got -1\.0"),
        ({"resolution": 0}, r"config\.resolution: got 0"),
        ({"own_backbone": True}, "own_backbone=True and a LoRA"),
    ],
)
def test_impossible_values_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(tiny_config("synthetic"), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(ensemble=[0.1]), r"config\.json\.ensemble: unknown key 'ensemble'; did you mean"),
        (lambda v: v["backbone"].update(deepness=3), r"config\.json\.backbone\.deepness: unknown key"),
        (lambda v: v["backbone"].update(depth="3"), r"config\.json\.backbone\.depth: expected int, got '3'"),
        (lambda v: v["backbone"].update(depth=0), r"^model/config\.json\.backbone: depth: got 0"),
        (lambda v: v["preference"].update(name="elo"), r"^model/config\.json\.preference\.name: .*'elo'"),
        (
            lambda v: v.update(preference="\r"),
            r"^model/config\.json\.preference: expected a table.*'\\r'",
        ),
        (lambda v: v["head"].update(kind=["pooled"]), r"^model/config\.json\.head\.kind: got \['pooled'\]"),
        (lambda v: v.update(head=[]), r"^model/config\.json"),
        (lambda v: v["preference"].update(slope=1), "slope"),
        (lambda v: v.pop("backbone"), "backbone"),
    ],
)
def test_what_a_file_says_is_read_strictly(change: Callable[[dict[str, Any]], object], message: str) -> None:
    values = json.loads(json.dumps(tiny_config("synthetic").to_dict()))
    change(values)
    with pytest.raises(ValueError, match=message) as caught:
        RewardModelConfig.from_dict(values, "model/config.json")
    assert f"written by dina_lrm {__version__}, read by {__version__}" in str(caught.value)
