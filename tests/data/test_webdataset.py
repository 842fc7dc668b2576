"""A WebDataset archive is read as the table that its samples are; what is damaged in it is named."""

import io
import json
import tarfile

import pytest

from dina_lrm.data.sources import read_comparisons, write_comparisons
from dina_lrm.data.sources.tables import scan_rows
from dina_lrm.images import png_bytes
from tests.data.published import PICTURES

PNG = [png_bytes(picture) for picture in PICTURES[:4]]


def archive(path, files):
    """A tar of files by name: bytes, text, or what is written as JSON."""
    with tarfile.open(path, "w") as tar:
        for name, value in files.items():
            content = value if isinstance(value, bytes) else value if isinstance(value, str) else json.dumps(value)
            content = content if isinstance(content, bytes) else content.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


FORMS = {
    "numbered pictures and a label in a JSON": {
        "s/000.0.png": PNG[0],
        "s/000.1.png": PNG[1],
        "s/000.txt": "a red ball\n",
        "s/000.json": {"label_0": 1, "label_1": 0},
    },
    "as Pick-a-Pic is exported": {
        "000.jpg_0": PNG[0],
        "000.jpg_1": PNG[1],
        "000.txt": "a red ball",
        "000.label_0.txt": "1",
        "000.label_1.cls": "0",
    },
    "with the whole row in a JSON": {
        "000.json": {"prompt": "a red ball", "preference": 1.0},
        "000.image_a.png": PNG[0],
        "000.image_b.png": PNG[1],
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_pairs_of_an_archive_say_what_our_own_table_says(form, tmp_path):
    (found,) = read_comparisons(archive(tmp_path / "shard-000000.tar", FORMS[form]))
    assert (found.prompt, found.image_a, found.image_b, found.preference) == ("a red ball", PNG[0], PNG[1], 1.0)
    write_comparisons(tmp_path / "ours.parquet", [found])
    assert list(read_comparisons(tmp_path / "ours.parquet")) == [found]


def test_a_preferred_picture_has_either_side(tmp_path):
    files = {"000.chosen.png": PNG[0], "000.rejected.png": PNG[1], "000.prompt.txt": "7"}
    (found,) = read_comparisons(archive(tmp_path / "a.tar", files))
    assert found.prompt == "7"
    assert {found.image_a: found.preference, found.image_b: 1 - found.preference} == {PNG[0]: 1.0, PNG[1]: 0.0}


def test_a_published_row_in_an_archive_is_read_by_its_source(tmp_path):
    row = {"caption": "p", "label_0": 0.5, "label_1": 0.5, "has_label": True}
    (found,) = read_comparisons(archive(tmp_path / "a.tar", {"1.json": row, "1.jpg_0": PNG[0], "1.jpg_1": PNG[1]}))
    assert (found.source, found.is_tie) == ("pick-a-pic", True)


def test_a_folder_of_archives_is_read_in_order_and_whole(tmp_path):
    for number in (1, 0):
        files = {f"{number}.0.png": PNG[0], f"{number}.1.png": PNG[1], f"{number}.json": {"preference": "first"}}
        archive(tmp_path / f"shard-0000{number}.tar", files | {f"{number}.txt": f"p{number}"})
    assert [one.prompt for one in read_comparisons(tmp_path)] == ["p0", "p1"]


def test_every_file_becomes_a_column(tmp_path):
    files = {
        "./a/x.jpg": PNG[0],
        "./a/x.txt": "12",
        "./a/x.score.txt": "12",
        "./a/x.embedding.npy": b"\x93NUMPY",
        "./a/x.note": "as it is",
        "./a/._x.jpg": b"hidden",
        "./b/x.webp": PNG[1],
    }
    first, second = scan_rows(archive(tmp_path / "a.tar", files))
    assert first.values == {
        "image": {"bytes": PNG[0], "path": "./a/x.jpg"},
        "prompt": "12",
        "score": 12.0,
        "embedding.npy": None,
        "note": "as it is",
    }
    assert (first.place, second.place) == ("sample a/x", "sample b/x")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"0.txt": b"\xff\xfe", "0.jpg": PNG[0]}, "sample 0: txt: not UTF-8"),
        ({"0.json": "{"}, "sample 0: json: not a JSON value"),
        ({"0.json": [1]}, r"sample 0: json: holds \[1\]; accepted: an object"),
        ({"0.json": {"prompt": "p"}, "0.txt": "q"}, "sample 0: two files give the column 'prompt'"),
        ({"0.txt": "p", "1.txt": "p", "0.jpg": PNG[0]}, "sample 0: its files do not stand together"),
        ({"README": "p"}, "sample README: a file has no extension"),
    ],
)
def test_what_is_wrong_is_a_fault_of_its_sample(files, message, tmp_path):
    faults = [f"{row.place}: {row.fault}" for row in scan_rows(archive(tmp_path / "a.tar", files)) if row.fault]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError("; ".join(faults))


def test_what_is_no_archive_or_is_cut_off_names_the_file(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match=r"a\.tar: not a tar archive"):
        list(scan_rows(tmp_path / "a.tar"))
    whole = archive(tmp_path / "b.tar", {"0.txt": "p", "1.npz": b"0" * 40_000, "2.png": PNG[0] * 90}).read_bytes()
    (tmp_path / "b.tar").write_bytes(whole[: len(whole) * 2 // 3])
    rows = scan_rows(tmp_path / "b.tar")
    assert next(rows).values == {"prompt": "p"}
    with pytest.raises(ValueError, match=r"b\.tar: not a tar archive, damaged after . samples"):
        list(rows)
