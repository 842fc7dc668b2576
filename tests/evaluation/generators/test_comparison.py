"""A tuned generator against its base: antisymmetry, ties, what is missing, intervals that know of prompts."""

import json

import numpy as np
import pytest

from dina_lrm.evaluation.generators.comparison import (
    GeneratorComparison,
    PairedValues,
    compare,
    compare_groups,
)
from dina_lrm.evaluation.interval import Interval


def values(base, tuned, prompts=None, kind="reward"):
    numbers = np.arange(len(base)) if prompts is None else np.asarray(prompts)
    return PairedValues("r", kind, np.asarray(base, float), np.asarray(tuned, float), numbers, "held out")


def test_wins_ties_and_missing_scores_by_hand():
    found = compare(values([1, 1, 1, 1, np.nan], [2, 0, 1, np.inf, 1]))
    assert (found.win_rate.value, found.win_rate.n, found.win_rate.missing) == (0.5, 3, 2)
    assert found.ties == 1 and found.difference.value == 0
    assert (found.base.n, found.base.missing) == (4, 1)
    assert (found.tuned.n, found.tuned.missing) == (4, 1) and found.tuned.value == 1
    assert found.role == "held out"


def test_swapping_the_sides_mirrors_everything():
    rng = np.random.default_rng(0)
    base, tuned, prompts = rng.normal(size=60), rng.normal(0.4, 1, 60), np.repeat(np.arange(20), 3)
    there, back = compare(values(base, tuned, prompts)), compare(values(tuned, base, prompts))
    assert there.win_rate.value + back.win_rate.value == pytest.approx(1)
    assert there.win_rate.low + back.win_rate.high == pytest.approx(1)
    assert there.difference.value == pytest.approx(-back.difference.value)
    assert there.difference.low == pytest.approx(-back.difference.high)
    assert there.base == back.tuned


def test_pictures_of_a_prompt_are_drawn_together():
    base, tuned = np.zeros(40), np.repeat([1.0, -1.0], 20)
    alone = compare(values(base, tuned))
    together = compare(values(base, tuned, np.repeat(np.arange(4), 10)))
    assert together.win_rate.high - together.win_rate.low > 1.5 * (alone.win_rate.high - alone.win_rate.low)


def test_where_all_pairs_agree_the_interval_still_has_a_width():
    found = compare(values(np.zeros(10), np.ones(10)))
    assert found.win_rate.value == 1 and 0.7 < found.win_rate.low < 0.75 and found.win_rate.high == pytest.approx(1)
    assert found.win_rate.beyond(0.5) == 1 and found.difference.beyond(1.5) == -1


def test_few_prompts_of_one_sign_decide_nothing():
    """By chance two have one sign half of the time."""
    two = compare(values([0, 0], [1, 1.5], [0, 1]))
    assert two.difference.beyond(0.0) == 0 and two.difference.low < 0 < two.difference.high
    rng, wrong, runs = np.random.default_rng(0), 0, 400
    for _ in range(runs):
        drawn = compare(values(np.zeros(3), rng.normal(size=3), np.arange(3)))
        wrong += drawn.difference.beyond(0.0) != 0
    assert wrong / runs < 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_shares_stay_shares_and_have_a_width_where_all_agree():
    found = compare(values([1, 1, 0], [1, 1, 1], np.arange(3), kind="attribute"))
    assert found.base.low == 0.0 and found.base.high == 1.0
    assert found.tuned.value == 1.0 and 0.3 < found.tuned.low < 0.5


def test_one_prompt_and_no_value_have_no_interval():
    alone = compare(values([0, 0], [1, 2], [0, 0]))
    assert alone.difference == Interval(1.5, None, None, 2, 0) and alone.difference.beyond(0.0) == 0
    nothing = compare(values([np.nan, 1], [1, np.nan]))
    assert nothing.win_rate == Interval(None, None, None, 0, 2)


def test_what_no_judge_measures_has_no_winner():
    assert compare(values([1, 2], [2, 3], kind="measure")).win_rate is None


def test_groups_hold_their_own_prompts_and_one_group_of_all_is_the_whole():
    given = values([0, 0, 0, 0], [1, 1, -1, -1], [0, 0, 1, 2])
    one, *rest = compare_groups(
        [given, values([0], [1], [0], "measure")], {"All": ["x"] * 3, "Category": ["a", "b", "a"]}
    )
    assert one.comparisons == (compare(given),) and one.prompts == 3
    assert [(g.grouping, g.group, g.prompts) for g in rest] == [("Category", "a", 2), ("Category", "b", 1)]
    assert [g.comparisons[0].win_rate.value for g in rest] == [pytest.approx(2 / 3), 0]


def test_sides_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="accepted: one length"):
        compare(PairedValues("r", "reward", np.zeros(2), np.zeros(3), np.arange(2)))


def test_a_result_survives_json():
    groups = compare_groups([values([0, 1], [1, 1])], {"Category": ["a", "b"]})
    comparison = compare(values([0, 1], [1, 1]))
    whole = GeneratorComparison(
        "synthetic", "lora", "synthetic", 2, 1, 0, {"steps": "20"}, ("r",), (comparison,), groups, ("a note",)
    )
    assert GeneratorComparison.from_dict(json.loads(json.dumps(whole.to_dict(), allow_nan=False))) == whole
    stored = whole.to_dict()["comparisons"][0]["difference"]
    assert set(stored) == {"mean", "low", "high", "counted", "missing"}, "files keep the words that their readers know"
    assert whole.find("r") == comparison and whole.find("other") is None and whole.of_kind("truth") == []
