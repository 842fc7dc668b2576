"""The whole path gives the numbers that it gave, and reads the models, caches and runs that it wrote.

Equality to the last bit is only to be had on one machine: `python -m benchmarks.golden` has it.
"""

import json

import pytest

from benchmarks.golden import PARTS, VALUES, Place, differences

TOLERANCE = 2e-3
"""Ten times what turning off the processor's vector instructions changes."""


@pytest.fixture(scope="module")
def stored() -> dict[str, object]:
    return json.loads(VALUES.read_text())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("golden"))


def test_every_part_is_stored(stored):
    assert list(stored) == list(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_the_numbers_are_those_that_were_stored(part, stored, place, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    assert list(differences(stored[part], PARTS[part](place), TOLERANCE)) == []


def test_a_difference_is_told_with_its_place():
    stored = {"loss": [0.25, 0.5], "pairs": 3, "hash": "a", "gone": None}
    found = {"loss": [0.25, 0.5001], "pairs": 4, "hash": "b", "new": 1}
    assert list(differences(stored, stored)) == []
    assert list(differences(stored, found)) == [
        "/loss/1: stored 0.5, found 0.5001",
        "/pairs: stored 3, found 4",
        '/hash: stored "a", found "b"',
        "/gone: is no more",
        "/new: is new",
    ]
    assert list(differences(stored, found, 1e-3)) == ["/pairs: stored 3, found 4", "/gone: is no more"]
    assert list(differences({"n": 1}, {"n": 1.0}, 1e-3)) == ["/n: stored 1, found 1.0"]
    assert list(differences([1.0], [1.0, 2.0])) == [": stored [1.0], found [1.0, 2.0]"]
    assert list(differences(0.5, float("nan"), 1e-3)) == [": stored 0.5, found NaN"]
