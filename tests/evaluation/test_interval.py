"""What is written of an interval can be read back, and nothing that is no number looks like one."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.evaluation.interval import NEEDS_PROMPTS, Interval, renamed
from dina_lrm.screen import NO_NUMBER, number_text
from dina_lrm.typed import from_plain, to_plain

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
NOTHING = st.sampled_from([None, math.nan, math.inf, -math.inf])
FORMS = st.sampled_from([".0f", ".1f", ".2f", ".3f", "+.1f", "+.2f", "+.3f"])
WRITTEN = re.compile(r"(?P<value>\S+) \((?:(?P<low>\S+) to (?P<high>\S+)|needs more prompts)\)")


def number(text):
    return None if text is None else float(text.replace("\u2212", "-"))


def read(text):
    """Value, low and high, None for an interval that is not there."""
    found = WRITTEN.fullmatch(text)
    return tuple(number(found[name]) for name in ("value", "low", "high"))


@given(NUMBERS, NUMBERS, NUMBERS, FORMS, st.booleans())
def test_what_is_written_is_read_back_to_the_printed_digits(value, low, high, form, percent):
    text = Interval(value, low, high, 9).text(form, percent)
    half = 0.5 * 10.0 ** -int(form[-2]) * (1 + 1e-9) + 1e-9
    factor = 100 if percent else 1
    for found, given_number in zip(read(text), (value, low, high), strict=True):
        assert abs(found - factor * given_number) <= half
    assert "-" not in text, "a minus sign is no hyphen"
    assert (
        text == f"{Interval(value, low, high).middle(form, percent)} ({Interval(value, low, high).ends(form, percent)})"
    )


@given(NUMBERS, st.one_of(NUMBERS, NOTHING), NOTHING, st.booleans(), FORMS)
def test_an_interval_that_is_not_there_is_said_in_words(value, one, other, swapped, form):
    low, high = (other, one) if swapped else (one, other)
    text = Interval(value, low, high, 1).text(form)
    assert read(text)[1:] == (None, None) and text.endswith(f"({NEEDS_PROMPTS})")


@given(NOTHING, st.one_of(NUMBERS, NOTHING), st.one_of(NUMBERS, NOTHING), FORMS)
def test_what_is_no_number_never_looks_like_one(value, low, high, form):
    text = Interval(value, low, high).text(form)
    assert text == NO_NUMBER == number_text(value, form) and not any(letter.isalnum() for letter in text)


@pytest.mark.parametrize(
    ("interval", "form", "text"),
    [
        (Interval(0.31, 0.13, 0.49, 20), ".2f", "0.31 (0.13 to 0.49)"),
        (Interval(-0.5, None, None, 1), ".3f", "\u22120.500 (needs more prompts)"),
        (Interval(0.5, -0.1, 1.1, 2), "+.3f", "+0.500 (\u22120.100 to +1.100)"),
        (Interval(None, None, None, 0, 3), "+.3f", "\u2013"),
        (Interval(0.04, 0.039, 0.041), ".1e", "4.0e\u221202 (3.9e\u221202 to 4.1e\u221202)"),
    ],
)
def test_by_hand(interval, form, text):
    assert interval.text(form) == text


@given(NUMBERS, NUMBERS, NUMBERS)
def test_an_interval_decides_for_one_side_at_most(low, high, neutral):
    low, high = sorted((low, high))
    found, mirrored = Interval(low, low, high), Interval(-low, -high, -low)
    assert found.beyond(neutral) == -mirrored.beyond(-neutral) == (low > neutral) - (high < neutral)
    assert Interval(low, None, None).beyond(neutral) == 0


def test_a_plot_draws_no_width_where_there_is_no_interval():
    assert Interval(0.3, None, None).span == (0.3, 0.3, 0.3) and Interval(0.3, 0.1, 0.4).span == (0.3, 0.1, 0.4)
    assert all(map(math.isnan, Interval(None, None, None).span))


def test_files_have_words_of_their_own_for_the_parts_of_an_interval():
    tree = {"value": 1, "rows": [{"gain": Interval(0.5, 0.25, 1.0, 3, 1), "n": 2}]}
    stored = renamed(to_plain(tree), {"value": "mean", "n": "seeds"})
    gain = {"mean": 0.5, "low": 0.25, "high": 1.0, "seeds": 3, "missing": 1}
    assert stored == {"value": 1, "rows": [{"gain": gain, "n": 2}]}
    back = renamed(json.loads(json.dumps(stored)), {"mean": "value", "seeds": "n"})
    assert from_plain(Interval, back["rows"][0]["gain"]) == tree["rows"][0]["gain"]
    assert renamed(gain, {"missing": None, "seeds": None}) == {"mean": 0.5, "low": 0.25, "high": 1.0}
