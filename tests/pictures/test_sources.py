"""Whatever stands for one picture gives its pixels; whatever does not is named, and told what is accepted."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dina_lrm.images import load_image, split_images
from dina_lrm.pictures.names import printable, shown
from dina_lrm.pictures.sources import plain_picture


class Elsewhere(os.PathLike):
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


@pytest.fixture
def path(tmp_path):
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_every_form_of_one_picture_is_that_picture(path):
    data = path.read_bytes()
    written = io.BytesIO()
    written.write(data)  # stands at its end
    mappings = [{"bytes": data, "path": "0.png"}, {"bytes": None, "path": str(path)}, {"bytes": bytearray(data)}]
    with path.open("rb") as file:
        file.read(3)
        sources = [path, str(path), np.str_(path), Elsewhere(str(path)), data, bytearray(data), memoryview(data)]
        for source in [*sources, written, file, *mappings]:
            assert np.array_equal(load_image(source), Image.open(path)), type(source)


def test_the_bytes_of_a_mapping_come_before_its_path(path):
    other = path.with_name("b.png")
    Image.new("RGB", (4, 4)).save(other)
    assert np.array_equal(load_image({"bytes": path.read_bytes(), "path": str(other)}), Image.open(path))


def test_columns_of_paths_are_several_pictures(path):
    pandas = pytest.importorskip("pandas")
    names = [str(path), str(path)]
    for column in (np.array(names), np.array(names, dtype=object), pandas.Series(names), tuple(names), iter(names)):
        assert list(split_images(column)) == names
    assert len(split_images({"bytes": b"x", "path": None})) == len(split_images(io.BytesIO(b"x"))) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "None was given; accepted: a path"),
        (float("nan"), "nan was given, a missing value of a table"),
        (7, r"a int was given \(7\)"),
        ("  ", "empty text"),
        ({"bytes": None, "path": None}, "a mapping with the keys bytes, path; accepted"),
        ({"url": "x" * 9000}, "a mapping with the keys url"),
        (io.StringIO("x"), "which holds text"),
    ],
)
def test_what_stands_for_no_picture_is_named(given, told):
    with pytest.raises(ValueError, match=told) as caught:
        plain_picture(given)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data:image/png;base64," + "A" * 16_000, "is a data URI and no path"),
        ("iVBORw0KGgo" + "A/b" * 4_000, "is base64 text and no path"),
        ("https://example.org/a.png", "is an address, and nothing is fetched"),
        ("s3://bucket/a.png", "is an address"),
        ("a\0b.png", "cannot be the name of a file"),
        ("x." * 300, "cannot be the name of a file"),
    ],
)
def test_a_text_that_is_no_path_says_what_it_is_in_short(text, told, tmp_path):
    for source in (text, tmp_path / text):
        with pytest.raises(ValueError, match=told) as caught:
            load_image(source)
        assert len(str(caught.value)) < 500


@pytest.mark.skipif(os.sep != "/", reason="backslashes part folders there")
def test_backslashes_are_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such image file; backslashes do not part folders here"):
        load_image(tmp_path / "sub\\a.png")


def test_sets_and_what_is_not_iterable_are_no_pictures():
    for given in ({"a.png", "b.png"}, 7, None):
        with pytest.raises(ValueError, match=r"images: .* was given"):
            split_images(given)


def test_names_that_are_no_text_are_shown_escaped():
    assert printable(os.fsdecode(b"caf\xe9.png")) == "caf\\xe9.png"
    assert printable("a \ud83d") == "a \\ud83d"
    assert shown(Path("x" * 900)).startswith("x" * 100 + "...") and len(shown("x" * 900)) < 150
