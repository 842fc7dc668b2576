"""Settings that cannot be meant are refused where they are given, by their name."""

from dataclasses import replace

import pytest

from dina_lrm.alignment.algorithms.grpo.settings import GrpoSettings
from dina_lrm.alignment.monitor.settings import LEAST_LOOKS, LookSettings
from dina_lrm.alignment.monitor.trend import LEAST_POINTS
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import GRPO, REFL

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("clip_norm", value) for value in (-1.0, 0.0, NAN, INF)),
        *(("lr", value) for value in (-1.0, 0.0, NAN)),
        ("seed", -1),
        ("seed", 2**64),
        *(("generator.alpha", value) for value in (-3.0, 0.0, NAN)),
        ("generator.guidance", -1.0),
        *(("refl.scale", value) for value in (-1.0, 0.0, NAN)),
        *((f"refl.{which}", value) for which in ("kl_weight", "pretraining_weight") for value in (-1.0, NAN)),
        ("refl.margin", NAN),
        ("refl.pretraining_samples", 0),
        ("looks.window", 4),
    ],
)
def test_a_number_that_would_turn_or_stop_learning_is_refused_by_name(name, value):
    part, _, field = name.rpartition(".")
    with pytest.raises(ValueError, match=f"{name}: got {value}; accepted"):
        if part:
            replace(REFL, **{part: replace(getattr(REFL, part), **{field: value})})
        else:
            replace(REFL, **{field: value})


@pytest.mark.parametrize(("field", "value"), [("advantage_clip", 0.0), ("advantage_clip", -1.0), ("window_until", 1.5)])
def test_those_of_flow_grpo_are_too(field, value):
    with pytest.raises(ValueError, match=f"grpo.{field}: got {value}"):
        GrpoSettings(**{field: value})


def test_a_window_of_every_step_needs_no_number_of_steps():
    few = replace(GRPO.generator, sampling_steps=3)
    assert replace(GRPO, generator=few, grpo=replace(GRPO.grpo, window="every", window_steps=3)).grpo.window == "every"
    with pytest.raises(ValueError, match=r"grpo.window_steps: got 3; accepted: at most 2"):
        replace(GRPO, generator=few, grpo=replace(GRPO.grpo, window_steps=3))


@pytest.mark.parametrize("term", [{"weight": NAN}, {"weight": INF}, {"noise_level": 1.5}, {"noise_level": (0.2, -1.0)}])
def test_a_reward_that_counts_for_nothing_or_cannot_be_read_is_refused(term):
    with pytest.raises(ValueError, match=r"rewards.sharpness.(weight|noise_level): got"):
        RewardTerm("sharpness", **term)


def test_an_alarm_that_can_never_sound_stops_no_run():
    looks = LookSettings(every=2, golden="sharpness", window=5, on_alarm="stop")
    with pytest.raises(ValueError, match=r"looks.on_alarm: got .stop with 3 looks.; accepted: 5 looks"):
        replace(REFL, looks=looks)
    assert replace(REFL, steps=8, ema_every=1, looks=looks).number_of_looks() == 5
    assert replace(REFL, looks=replace(looks, on_alarm="tell")).number_of_looks() == 3
    assert LEAST_LOOKS == LEAST_POINTS
