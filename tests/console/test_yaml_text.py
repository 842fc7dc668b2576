"""YAML: what is written is read back, and no word is taken for something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.console.yaml_text import parse_yaml, yaml_text

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain, max_size=4))
def test_what_is_written_is_read_back(values):
    assert parse_yaml(yaml_text(values), "x") == values


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("1e-3", 1e-3),
        ("5e5", 5e5),
        ("2026-01-01", "2026-01-01"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("true", True),
        ("~", None),
        ("-7", -7),
        (".5", 0.5),
        ("'3'", "3"),
    ],
)
def test_words_are_what_they_look_like(word, value):
    got = parse_yaml(f"a: {word}", "x")["a"]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2", "x: not YAML: 'a' stands twice (line 2, column 1)"),
        ("? [1]\n: 2", "x: not YAML: a key is no word (line 1, column 3)"),
        ("a: !!python/object:os.system x", "x: not YAML: could not determine a constructor"),
        ("a: \x00", "x: not YAML: unacceptable character"),
        (b"a: \xff", "x: not UTF-8 text"),
    ],
)
def test_what_is_none_is_refused_by_name(text, told):
    with pytest.raises(ValueError) as refused:
        parse_yaml(text, "x")
    assert str(refused.value).startswith(told)
