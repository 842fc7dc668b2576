"""Drawn photographs: a function of the seed, of all tastes, and of pictures that show what is liked."""

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from dina_lrm.synthetic.photographs import SIZE, landscape, write_photographs


def test_an_album_is_a_function_of_its_seed(tmp_path):
    one, same = write_photographs(tmp_path / "a", 2, seed=3), write_photographs(tmp_path / "b", 2, seed=3)
    assert one == same != write_photographs(tmp_path / "c", 2, seed=4)
    for name in one:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        with Image.open(tmp_path / "a" / name) as image:
            assert image.size == SIZE


def test_tastes_spread_and_warmth_is_seen():
    scenes = [landscape(0, number) for number in range(12)]
    assert np.std([scene.taste for scene in scenes]) > 0.2
    red, blue = np.array([np.asarray(scene.picture(), dtype=float).mean((0, 1))[[0, 2]] for scene in scenes]).T
    assert spearmanr(red / blue, [scene.warmth for scene in scenes]).statistic > 0.8


def test_nothing_of_anybody_is_mixed_in(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match="holds something"):
        write_photographs(tmp_path, 1)
    with pytest.raises(ValueError, match="count 0"):
        write_photographs(tmp_path / "new", 0)
