"""What is no JSON is refused by file and line; what is, comes back."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.runs.json_files import parse_json, read_json_lines, read_json_object, read_record

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda items: st.lists(items, max_size=3) | st.dictionaries(TEXT, items, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_what_json_can_say_comes_back(value):
    assert parse_json(json.dumps(value), "x") == value
    assert parse_json("\ufeff" + json.dumps(value, ensure_ascii=False), "x") == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "it holds NaN"),
        ('{"a": [-Infinity]}', "it holds -Infinity"),
        ("1e999", "too large"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ("[" * 40_000, "nested more than 64 deep"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ('"\\ud83d"', "half a character"),
        ('{"\\ud83d": 1}', "half a character"),
        ("1" + "0" * 5000, "not a JSON value"),
        ("", "not a JSON value"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_what_is_no_json_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        parse_json(text, "place")
    assert str(caught.value).startswith("place: ")


def test_a_pair_of_surrogates_is_one_character():
    assert parse_json('"\\ud83d\\ude00"', "x") == "\U0001f600"


@dataclass(frozen=True)
class State:
    step: int
    name: str = ""


def test_files_are_named_with_the_key_at_fault(tmp_path):
    path = tmp_path / "state.json"
    for text, reason in (("[1]", "holds a list"), ('{"step": "x"}', r"\.step: expected int"), ('{"stp": 1}', "stp")):
        path.write_text(text)
        with pytest.raises(ValueError, match=reason) as caught:
            read_record(State, path)
        assert str(path) in str(caught.value)
    path.write_text('{"step": 3}')
    assert read_record(State, path) == State(3)
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        read_json_object(tmp_path / "gone.json")


def test_a_line_in_the_middle_is_never_skipped(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(ValueError, match=r"lines\.jsonl, line 2"):
        read_json_lines(path)
    assert read_json_lines(tmp_path / "none.jsonl") == []
