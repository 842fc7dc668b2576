"""Groups of pictures that teachers have scored: pairs by the order of each, nothing where they do not part them."""

from pathlib import Path

import pytest

from dina_lrm.data.sources import SOURCES
from dina_lrm.data.sources.fields import ReadOptions
from dina_lrm.data.sources.rows import Row

IMAGES = ["a.png", "b.png", "c.png"]


def read(tmp_path, **values):
    row = Row(tmp_path / "rankings.jsonl", "line 1", {"prompt": "p", "images": IMAGES, **values})
    read = SOURCES["rankings"].comparisons(row, ReadOptions())
    found = [one if Path(one.image_a).name < Path(one.image_b).name else one.swapped() for one in read]
    return {
        (Path(one.image_a).name[0], Path(one.image_b).name[0]): (one.preference, dict(one.preferences)) for one in found
    }


def test_each_teacher_says_what_it_parts(tmp_path):
    scores = {"x": [1.0, 2.0, 2.4], "y": [5, None, 3]}
    assert read(tmp_path, scores=scores, gap={"x": 0.5}) == {
        ("a", "b"): (0.0, {"x": 0.0}),
        ("a", "c"): (0.0, {"x": 0.0, "y": 1.0}),
    }
    assert read(tmp_path, scores=scores)["b", "c"] == (0.0, {"x": 0.0})
    assert read(tmp_path, scores=scores, gap=9) == {}


def test_ranks_are_what_is_said_overall_and_come_first(tmp_path):
    found = read(tmp_path, scores={"x": [1.0, 2.0, 2.0]}, ranks=[1, 1, 2])
    assert found == {
        ("a", "b"): (0.5, {"overall": 0.5, "x": 0.0}),
        ("a", "c"): (1.0, {"overall": 1.0, "x": 0.0}),
        ("b", "c"): (1.0, {"overall": 1.0}),
    }
    assert read(tmp_path, ranks=[1, 1, 2])["a", "c"] == (1.0, {})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"scores": {"x": [1, 2]}}, "a list of 3 numbers"),
        ({"scores": {"x": [1, "2", 3]}}, "scores.x is '2'"),
        ({"scores": {"x": [1, float("inf"), 3]}}, "scores.x is inf"),
        ({"scores": {"1": [1, 2, 3]}}, "a score called '1'"),
        ({"scores": []}, "an object of names"),
        ({"scores": {"x": [1, 2, 3]}, "gap": -1}, "gap is -1"),
        ({"scores": {"x": [1, 2, 3]}, "gap": {"y": 1}}, "one by name of"),
        ({"scores": {"x": [1, 2, 3]}, "ranks": [1, 2]}, "3 images and 2 ranks"),
    ],
)
def test_what_is_no_score_is_refused_by_row(values, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        read(tmp_path, **values)
