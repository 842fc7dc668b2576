"""What is installed, and the golden numbers of the bundled model."""

import math
from importlib import metadata

import pytest

from dina_lrm.profiling.installation import (
    Golden,
    check_golden,
    devices,
    largest_difference,
    missing_files,
    missing_of_extras,
    read_golden,
    versions,
)


def test_versions_and_devices_are_those_of_this_installation():
    assert versions()["torch"] == metadata.version("torch")
    assert [device.dtype in ("bfloat16", "float32") for device in devices() if device.device == "cpu"] == [True]


def test_every_extra_is_listed_and_the_tools_running_this_test_are_not_missing():
    extras = missing_of_extras()
    assert {"serve", "judges", "tracking", "dev", "docs"} <= set(extras)
    assert not [lack for lack in extras["dev"] if lack.startswith(("pytest", "hypothesis", "beartype"))]


def test_golden_numbers_are_as_many_as_images(tmp_path):
    path = tmp_path / "golden.json"
    path.write_text('{"prompts": ["a", "a"], "images": ["0.png", "1.png"], "scores": [1.0, 0.5], "tolerance": 1e-4}')
    assert read_golden(path) == Golden(["a", "a"], ["0.png", "1.png"], [1.0, 0.5], 1e-4)
    with pytest.raises(ValueError, match="got 2 prompts, 2 images and 1 scores"):
        Golden(["a", "a"], ["0.png", "1.png"], [1.0], 1e-4)


def test_a_score_that_is_not_a_number_differs_by_infinity():
    assert largest_difference([1.0, 2.0], [1.0, 2.5]) == 0.5
    assert largest_difference([1.0, math.nan], [1.0, 2.5]) == math.inf
    assert largest_difference([math.nan, 1.0], [1.0, 1.0]) == math.inf


def test_the_bundled_world_is_whole_and_scores_as_it_should():
    assert missing_files() == []
    found = check_golden()
    assert found.passed and found.to_dict().keys() == {"scores", "golden", "largest_difference"}
