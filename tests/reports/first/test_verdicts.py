"""Laws of verdicts: no win where the interval covers the tie, none by NaN, none by what was optimised, and monotone."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.evaluation.interval import Interval
from dina_lrm.reports.first.verdicts import (
    LossOverSteps,
    Witness,
    accuracy_verdict,
    ahead_verdict,
    beyond,
    change_of,
    change_verdict,
    faults_verdict,
    findings_verdict,
    learning_verdict,
    mean_with_error,
    share_interval,
    together,
)

SHARES = st.integers(0, 64).map(lambda number: number / 64)
HALVES = st.integers(0, 32).map(lambda number: number / 64)
NUMBERS = st.integers(-192, 192).map(lambda number: number / 64)
VOICES = st.sampled_from(["truth", "held out", "unknown", "optimised"])
BROKEN = st.sampled_from([None, math.nan, math.inf, -math.inf])


def around(value: float, half: float, n: int = 96) -> Interval:
    return Interval(value, value - half, value + half, n)


@st.composite
def witnesses(draw) -> list[Witness]:
    number = draw(st.integers(1, 4))
    return [
        Witness(
            f"judge {row}",
            draw(VOICES),
            around(draw(NUMBERS), draw(HALVES)),
            draw(st.none() | st.builds(around, SHARES, HALVES)),
            "96 prompts",
        )
        for row in range(number)
    ]


WON = Witness("cnn", "held out", around(0.3, 0.1), around(0.61, 0.07), "96 prompts")
LOST = Witness("cnn", "held out", around(-0.3, 0.1), around(0.31, 0.09), "96 prompts")
TRUTH = Witness("true utility", "truth", around(0.31, 0.18), None, "96 prompts")
TUNED = Witness("latent:a", "optimised", around(0.5, 0.1), around(0.9, 0.05), "96 prompts")


def test_the_sentences_that_readers_see():
    few = replace(WON, change=Interval(0.3, -0.2, 0.8, 4), wins=Interval(0.75, 0.2, 1.0, 4), over="4 prompts")
    assert change_verdict([WON], 96).text == "Better: by cnn it wins 61 % of 96 prompts (54 to 68)."
    assert change_verdict([TRUTH, WON, TUNED], 96).text == (
        "Better: true utility rose by 0.31 (0.13 to 0.49) on 96 prompts; cnn agrees."
    )
    assert change_verdict([few, TUNED], 4).text == (
        "Not decided with 4 prompts: by cnn it wins 75 % of 4 prompts (20 to 100)."
    )
    assert change_verdict([LOST, TUNED], 96).text == (
        "Not real: latent:a rose, but by cnn it wins 31 % of 96 prompts (22 to 40)."
    )
    fell = replace(TRUTH, change=around(-0.21, 0.13))
    assert change_verdict([fell], 96).text == "Worse: true utility fell by 0.21 (0.08 to 0.34) on 96 prompts."
    assert change_verdict([TUNED], 96).text.startswith("Not known: by latent:a it wins 90 %")
    assert "no other judge was asked" in change_verdict([TUNED], 96).text
    both = [WON, replace(LOST, name="clip")]
    assert change_verdict(both, 96).text.startswith("Judges disagree: by cnn it wins 61 %")


@given(witnesses())
def test_no_win_where_the_interval_of_the_judge_that_is_quoted_covers_the_tie(heard):
    verdict = change_verdict(heard, 96)
    if verdict.standing == 1:
        assert verdict.text.startswith("Better: ")
        speaking = [each for each in heard if each.voice != "optimised" and each.standing == 1]
        quoted = [each for each in speaking if verdict.text.startswith(f"Better: {each.told()}")]
        assert quoted
        for each in quoted:
            low = each.change.low if each.wins is None else each.wins.low
            assert low is not None and low > (0 if each.wins is None else 0.5)
    else:
        assert not verdict.text.startswith("Better")


@given(witnesses())
def test_what_was_optimised_alone_never_wins(heard):
    assert change_verdict([replace(each, voice="optimised") for each in heard], 96).standing < 1


@given(witnesses(), BROKEN, BROKEN)
def test_a_number_that_is_none_never_wins(heard, value, end):
    for broken in (Interval(value, value, value, 96), Interval(0.9, end, 0.95, 96), Interval(0.9, 0.85, end, 96)):
        assert beyond(broken) == beyond(broken, 0.5) == 0
        dumb = [replace(each, change=broken, wins=None if each.wins is None else broken) for each in heard]
        assert change_verdict(dumb, 96).standing == 0


@given(witnesses(), st.integers(0, 3), NUMBERS.map(abs))
def test_a_judge_that_likes_it_more_never_makes_it_worse(heard, which, more):
    row = which % len(heard)
    up = [
        replace(each, change=_moved(each.change, more), wins=None if each.wins is None else _moved(each.wins, more))
        if number == row
        else each
        for number, each in enumerate(heard)
    ]
    assert change_verdict(up, 96).standing >= change_verdict(heard, 96).standing


def _moved(found: Interval, by: float) -> Interval:
    value, low, high = found.span
    return replace(found, value=value + by, low=low + by, high=high + by)


def _turned(found: Interval, total: float) -> Interval:
    value, low, high = found.span
    return replace(found, value=total - value, low=total - high, high=total - low)


@given(witnesses())
def test_both_sides_exchanged_turn_the_verdict_round(heard):
    turned = [
        replace(each, change=_turned(each.change, 0), wins=None if each.wins is None else _turned(each.wins, 1))
        for each in heard
    ]
    there, back = change_verdict(heard, 96).standing, change_verdict(turned, 96).standing
    only_optimised = all(each.voice == "optimised" for each in heard)
    assert there == -back or only_optimised


def test_nobody_who_speaks_decides_nothing():
    silent = Witness("vlm", "held out", Interval(None, None, None), Interval(None, None, None))
    assert change_verdict([], 9).text == "No verdict: no judge was asked."
    assert change_verdict([silent], 9).text == "No verdict: vlm gave no score."
    assert change_verdict([WON, silent], 96).text.endswith("; vlm gave no score.")


def test_a_change_of_means_is_as_wide_as_both_together():
    before, after = around(1.0, 0.3), around(1.5, 0.4)
    found = change_of(before, after)
    assert found.span == pytest.approx((0.5, 0.0, 1.0))
    assert change_of(Interval(None, None, None), after).value is None
    assert change_of(Interval(1.0, None, None), after) == Interval(0.5, None, None, 96)
    assert mean_with_error(2.0, None, 9) == Interval(2.0, None, None, 9)
    assert mean_with_error(2.0, 1.0, 1).low is None
    assert mean_with_error(2.0, 0.1, 1000).span == pytest.approx((2.0, 1.804, 2.196), abs=1e-3)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.builds(around, SHARES, HALVES), st.none() | SHARES), min_size=1))
def test_a_judge_beats_a_coin_only_where_it_does_so_on_every_set(sets):
    verdict = accuracy_verdict("model", sets)
    sides = [beyond(found, 0.5) for _, found, _ in sets]
    assert (verdict.standing == 1) == all(side == 1 for side in sides)
    assert (verdict.standing == -1) == any(side == -1 for side in sides)


def test_accuracies_as_sentences():
    one = [("In domain", Interval(0.864, 0.842, 0.884, 1000), 0.901)]
    told = "Better than a coin: m is right on 86.4 % of 1,000 pairs (84.2 to 88.4; at best 90.1)."
    assert accuracy_verdict("m", one).text == told
    two = [*one, ("Generated", Interval(0.55, 0.45, 0.65, 100), None)]
    assert accuracy_verdict("m", two).text == (
        "Of 2 sets, better than a coin on 1, not decided on 1: m is right on 55.0 % (generated, 45.0 to 65.0) "
        "to 86.4 % (in domain, 84.2 to 88.4) of pairs."
    )
    assert accuracy_verdict("m", [("In domain", Interval(math.nan, None, None), None)]).standing == 0


def test_several_verdicts_stand_in_a_row_and_none_hides_a_loss():
    won, lost = change_verdict([WON], 96), change_verdict([LOST], 96)
    both = together([("Reward model", won), ("Aligned generator", lost)])
    assert both.standing == 0 and both.text == (
        "Reward model better: by cnn it wins 61 % of 96 prompts (54 to 68). Aligned generator worse: by cnn it wins "
        "31 % of 96 prompts (22 to 40)."
    )
    assert together([("", won)]) == won and together([("x", lost), ("", change_verdict([], 1))]).standing == -1


def test_who_is_ahead():
    gaps = [("b", "x", around(0.1, 0.05)), ("b", "y", around(0.0, 0.05)), ("c", "x", around(0.0, 0.1))]
    assert ahead_verdict("a", gaps).text == (
        "b is ahead of a on 1 of 2 sets, not decided on 1. Whether a or c is ahead is not decided."
    )
    assert ahead_verdict("a", [("b", "x", around(-0.1, 0.05))]).text == "a is ahead of b on 1 of 1 set."
    both = [("b", "x", around(-0.1, 0.05)), ("b", "y", around(0.1, 0.05))]
    assert ahead_verdict("a", both).text == "b is ahead of a on 1 of 2 sets, behind on 1."
    assert ahead_verdict("a", []).text == ""


def test_training_pairs_and_losses_that_are_no_numbers_prove_nothing():
    loss = LossOverSteps(0.69, 0.42, 40)
    held = learning_verdict(share_interval(0.75, 20), 560, "20 prompts", True, loss)
    assert held.standing == 1 and held.text == (
        "Learned: 75.0 % of 560 held-out pairs are ranked right (53.1 to 88.8, over 20 prompts); the loss went from "
        "0.690 to 0.420 in 40 steps."
    )
    assert learning_verdict(share_interval(0.99, 900), 900, "900 prompts", False, loss).standing == 0
    assert learning_verdict(share_interval(0.6, 5), 140, "5 prompts", True, loss).text.startswith("Not decided with 5")
    assert learning_verdict(share_interval(0.1, 90), 90, "90 prompts", True, loss).standing == -1
    failed = learning_verdict(share_interval(0.99, 90), 90, "90 prompts", True, LossOverSteps(0.6, math.nan, 3))
    assert failed.text == "Failed: the loss is not a number after 3 steps." and failed.standing == -1
    assert share_interval(math.nan, 5).low is None and share_interval(0.5, 0).low is None


def test_faults_and_findings_are_counted():
    seen, missed = around(0.9, 0.05), around(0.5, 0.1)
    assert faults_verdict([("blur", seen), ("grid", missed)]).text == (
        "Sees 1 of 2 kinds of faults better than a coin; not grid."
    )
    assert faults_verdict([("blur", seen)]).standing == 1 and faults_verdict([]).standing == 0
    assert findings_verdict(["holds", "holds", "does not hold", "not decided", "one seed only"]) == (
        "Of 5 findings, 2 hold, 1 does not, 1 is not decided, 1 rests on one seed only."
    )
    assert findings_verdict([]) == "Nothing was measured that decides a finding."
