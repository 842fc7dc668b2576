"""Galleries hold every picture, pixel for pixel, where its caption and head say."""

import numpy as np
import pytest
from PIL import Image

from dina_lrm.reports.gallery import before_and_after, gallery, save_gallery
from dina_lrm.reports.theme import DARK, LIGHT

RNG = np.random.default_rng(0)
CAPTIONS = ["a small red ring above a large blue cross on white", "two small bars on gray", "ein grüner Ring"]


def pictures(n: int = 3, side: int = 32) -> np.ndarray:
    return RNG.integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def places(sheet: Image.Image, picture: np.ndarray, scale: int) -> list[tuple[int, int]]:
    """Where the enlarged picture stands in the sheet."""
    pixels = np.asarray(sheet)
    big = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    height, width = big.shape[:2]
    return [
        (int(y), int(x))
        for y, x in np.argwhere((pixels == big[0, 0]).all(axis=-1))
        if np.array_equal(pixels[y : y + height, x : x + width], big)
    ]


def test_rows_are_prompts_and_columns_steps():
    columns = {f"step {step}": pictures() for step in (0, 20, 40)}
    sheet = gallery(columns, CAPTIONS)
    found = np.array([[places(sheet, images[row], 4) for images in columns.values()] for row in range(3)])
    assert found.shape == (3, 3, 1, 2), "each stands there once"
    top, left = found[..., 0, 0], found[..., 0, 1]
    assert (top == top[:, :1]).all() and (np.diff(top[:, 0]) > 128).all()
    assert (left == left[:1]).all() and (np.diff(left[0]) > 128).all()


def test_heads_and_captions_are_written():
    columns = {"step 0": pictures(), "step 20": pictures()}
    bare = np.asarray(gallery({"": columns["step 0"], " ": columns["step 20"]}, [" "] * 3))
    written = np.asarray(gallery(columns, [" "] * 3))
    assert bare.shape == written.shape
    assert (bare != written).any(axis=(1, 2)).nonzero()[0].max() < 40, "heads stand above the first row"
    captioned = np.asarray(gallery(columns, ["ring"] * 3))
    assert captioned.shape == written.shape
    assert (captioned != written).any(axis=(1, 2)).nonzero()[0].max() > 250, "the last row has its caption too"


def test_before_and_after_stand_side_by_side_several_across():
    before, after = pictures(5), pictures(5)
    sheet = before_and_after(before, after, [*CAPTIONS, "d", "e"], across=3)
    at = [(places(sheet, before[row], 4)[0], places(sheet, after[row], 4)[0]) for row in range(5)]
    for (top, left), (other, right) in at:
        assert top == other and 128 < right - left < 150
    assert at[0][0][0] == at[2][0][0] < at[3][0][0] == at[4][0][0]
    assert at[0][0][1] == at[3][0][1] < at[1][0][1] < at[2][0][1]


def test_long_captions_are_cut_and_stay_inside():
    single = {"now": pictures(1)}
    sheet = np.asarray(gallery(single, ["word " * 100]))
    margin = np.array([int(LIGHT.paper[i : i + 2], 16) for i in (1, 3, 5)])
    assert (sheet[:, -10:] == margin).all()
    assert (np.asarray(gallery(single, ["x" * 500]))[:, -10:] == margin).all()


def test_large_pictures_are_reduced_and_the_theme_is_the_paper(tmp_path):
    path = save_gallery(gallery({"now": pictures(1, 600)}, ["a"], theme=DARK), tmp_path / "new" / "g.png")
    with Image.open(path) as sheet:
        assert 256 < sheet.width < 330
        assert sheet.getpixel((0, 0)) == tuple(int(DARK.paper[i : i + 2], 16) for i in (1, 3, 5))


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"column 'b': uint8 of shape \(2, 32, 32, 3\); accepted"):
        gallery({"a": pictures(3), "b": pictures(2)}, CAPTIONS)
    with pytest.raises(ValueError, match="3 pictures a column and 2 captions"):
        gallery({"a": pictures(3)}, CAPTIONS[:2])
    with pytest.raises(ValueError, match="0 columns"):
        gallery({}, CAPTIONS)
