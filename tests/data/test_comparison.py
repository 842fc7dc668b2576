import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dina_lrm.data.comparison import Comparison, image_key, image_name, shuffle_sides

PAIR = Comparison("a red bar", "a.png", "b.png", 0.8, pair_id="p1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": " \n"}, "prompt is empty"),
        ({"preference": 1.5}, r"preference is 1\.5.*in \[0, 1\]"),
        ({"preference": float("nan")}, "preference is nan"),
        ({"weight": -1.0}, r"weight is -1\.0.*at least 0"),
        ({"weight": float("inf")}, "weight is inf"),
        ({"image_a": b""}, "image_a is empty"),
        ({"image_b": ""}, "image_b is empty"),
    ],
)
def test_a_comparison_refuses_what_has_no_meaning(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PAIR, **change)


def test_swapping_twice_is_the_identity():
    assert PAIR.swapped().image_a == "b.png"
    assert PAIR.swapped().preference == pytest.approx(0.2)
    assert PAIR.swapped().swapped().preference == pytest.approx(0.8)
    assert dataclasses.replace(PAIR.swapped().swapped(), preference=0.8) == PAIR


@given(st.integers(0, 2**32), st.lists(st.floats(0, 1), max_size=20))
def test_shuffling_sides_keeps_every_judgement(seed, preferences):
    pairs = [Comparison("p", f"a{i}", f"b{i}", p) for i, p in enumerate(preferences)]
    shuffled = list(shuffle_sides(pairs, seed))
    assert len(shuffled) == len(pairs)
    assert all(new in (old, old.swapped()) for old, new in zip(pairs, shuffled, strict=True))
    assert shuffled == list(shuffle_sides(pairs, seed))


def test_the_coin_is_fair_and_stateless_in_its_prefix():
    pairs = [Comparison("p", "winner", "loser", 1.0)] * 2000
    first = sum(pair.image_a == "winner" for pair in shuffle_sides(pairs, 7))
    assert 900 < first < 1100
    prefix = list(itertools.islice(shuffle_sides(iter(pairs), 7), 10))
    assert prefix == list(shuffle_sides(pairs, 7))[:10]


def test_a_tie_is_a_half():
    assert Comparison("p", "a", "b", 0.5).is_tie
    assert not PAIR.is_tie


def test_keys_are_equal_exactly_when_the_image_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert image_key("x/../a.png") == image_key(tmp_path / "a.png")
    assert image_key(b"same") == image_key(bytes(bytearray(b"same")))
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    assert image_key(red) == image_key(red.copy()) != image_key(blue)
    assert image_key(Image.new("L", (4, 2))) != image_key(Image.new("L", (2, 4)))
    assert image_name(tmp_path / "a.png") == str(tmp_path / "a.png")
    assert image_name(red).startswith("pixels:")
