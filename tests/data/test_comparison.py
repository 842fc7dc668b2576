import dataclasses
import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dina_lrm.data.comparison import Comparison, image_key, image_name, shuffle_sides
from dina_lrm.data.sources import read_comparisons, write_comparisons

PAIR = Comparison("a red bar", "a.png", "b.png", 0.8, pair_id="p1")


def made(**change):
    """A comparison as a plain install makes it, which does not check annotations."""
    pair = object.__new__(Comparison)
    for field in dataclasses.fields(Comparison):
        object.__setattr__(pair, field.name, change.get(field.name, getattr(PAIR, field.name)))
    pair.__post_init__()
    return pair


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
        ({"prompt": None}, "prompt: None was given; accepted: text"),
        ({"prompt": b"p"}, "prompt: a bytes was given"),
        ({"preference": "1"}, r"preference: a str was given \('1'\); accepted: a number"),
        ({"preference": None}, "preference: None was given"),
        ({"votes": 2.5}, r"votes is 2\.5; accepted: a whole number"),
        ({"votes": "3"}, "votes: a str was given"),
        ({"weight": "heavy"}, "weight: a str was given"),
        ({"pair_id": 1.5}, "pair_id: a float was given"),
        ({"image_a": None}, "image_a: picture: None was given"),
        ({"image_b": {"path": None}}, "image_b: picture: a mapping with the keys path"),
        ({"image_b": np.zeros((2, 2), np.uint8)}, "image_b: a ndarray was given"),
    ],
)
def test_a_comparison_refuses_what_has_no_meaning(change, message):
    with pytest.raises(ValueError, match=message):
        made(**change)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_numbers_of_arrays_and_columns_are_written_and_read_back(suffix, tmp_path):
    numbers = {"preference": np.float32(0.75), "weight": np.int64(2), "confidence": np.float64(0.5)}
    pair = made(prompt=np.str_("p"), votes=np.int64(3), pair_id=7, prompt_id=np.int64(8), **numbers)
    write_comparisons(tmp_path / f"c{suffix}", [pair, made(preference=np.bool_(True), votes=True)])
    first, second = read_comparisons(tmp_path / f"c{suffix}")
    assert (first.preference, first.weight, first.votes, first.confidence) == (0.75, 2.0, 3, 0.5)
    assert (first.prompt, first.pair_id, first.prompt_id) == ("p", "7", "8")
    assert (second.preference, second.votes) == (1.0, 1)


def test_images_of_every_form_are_kept_as_bytes_or_paths():
    given = [io.BytesIO(b"x"), bytearray(b"x"), memoryview(b"x"), {"bytes": b"x", "path": "0.png"}]
    for image in given:
        assert made(image_a=image) == dataclasses.replace(PAIR, image_a=b"x")
    assert made(image_a={"bytes": None, "path": "c.png"}).image_a == "c.png"


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
