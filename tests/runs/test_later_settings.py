"""Settings that came later: what is left out of a stored run has its default again, and nothing else changes."""

import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.preference.distributions import LogitNormal
from dina_lrm.runs.later_settings import with_later_settings
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.training.config import NoiseLevelSettings, ObjectiveSettings, TrainConfig
from dina_lrm.typed import to_plain

CONFIGS = {"training": TrainConfig(), "alignment": ReflConfig(rewards=(RewardTerm("sharpness"), RewardTerm("clip")))}


def stored(config):
    return json.loads(json.dumps(to_plain(config)))


@pytest.mark.parametrize("name", CONFIGS)
@given(data=st.data())
def test_settings_that_a_run_does_not_know_have_their_defaults(name, data):
    known = stored(CONFIGS[name])
    for group in (known, *(value for value in known.values() if isinstance(value, dict))):
        for key in data.draw(st.lists(st.sampled_from(sorted(set(group) - {"rewards"})), unique=True)):
            group.pop(key)
    assert with_later_settings(known, CONFIGS[name]) == stored(CONFIGS[name])


def test_what_is_stored_stays_whatever_the_settings_hold_that_are_given():
    other = replace(CONFIGS["training"], steps=7, model=replace(CONFIGS["training"].model, resolution=32))
    assert with_later_settings(stored(other), CONFIGS["training"]) == stored(other)
    assert with_later_settings({}, other) == stored(CONFIGS["training"])
    assert with_later_settings({"of another version": 1}, other)["of another version"] == 1


def test_one_of_several_kinds_gets_nothing_of_another():
    own = TrainConfig(objective=ObjectiveSettings(noise_levels=NoiseLevelSettings(LogitNormal(0.8, 1.0))))
    known = {"objective": {"noise_levels": {"sampler": {"name": "uniform"}}}}
    assert with_later_settings(known, own)["objective"]["noise_levels"]["sampler"] == {"name": "uniform"}


@dataclass(frozen=True)
class Row:
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Rows:
    required: int
    rows: tuple[Row, ...] = field(default_factory=tuple)


def test_rows_of_settings_are_filled_one_by_one_and_what_has_no_default_stays_missing():
    two = Rows(1, (Row("a"), Row("b")))
    assert with_later_settings({"rows": [{"name": "a"}, {"name": "c", "weight": 2.0}]}, two) == {
        "rows": [{"name": "a", "weight": 1.0}, {"name": "c", "weight": 2.0}]
    }
    assert with_later_settings({"rows": [{"name": "a"}]}, two) == {"rows": [{"name": "a"}]}, "another number of rows"
    assert with_later_settings({"rows": 3}, two) == {"rows": 3}
