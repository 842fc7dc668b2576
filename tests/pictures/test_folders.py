"""What is read and what is left out are together all that was found."""

import os

import pytest

from dina_lrm.pictures.folders import scan_pictures

PICTURES = ["a.png", "b.JPG", "below/c.webp", "below/deep/d.tga", "e.pgm", "f.jp2", "g.apng", "h.jpe"]
OTHERS = {
    "photo.heic": "called .heic",
    "new.jxl": "called .jxl",
    "notes.txt": "called .txt",
    "README": "without a suffix",
    "._a.png": "hidden",
    ".DS_Store": "hidden",
    "below/.thumb.png": "hidden",
}


@pytest.fixture
def folder(tmp_path):
    for name in [*PICTURES, *OTHERS, ".cache/x.png", "../elsewhere/y.png"]:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "images"


def test_everything_is_read_or_left_out_by_its_reason(folder):
    (folder / "linked").symlink_to(folder.parent / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (folder / "z.png").symlink_to(folder / "a.png")
    (folder / "gone.png").symlink_to("/nowhere/blob.png")
    os.mkfifo(folder / "pipe.png")
    found = scan_pictures(folder)
    assert found.names == sorted([*PICTURES, "z.png"])
    told = dict.fromkeys(OTHERS.values(), 1) | {"hidden": 4, "linked folder": 2, "link to nothing": 1}
    assert found.left_out == told | {"no regular file": 1}
    assert found.found == len(found.names) + sum(found.left_out.values())
    assert "4 hidden (such as ." in found.told() and "1 called .heic (such as photo.heic)" in found.told()


def test_a_folder_of_pictures_alone_has_nothing_to_tell(tmp_path):
    (tmp_path / "a.png").touch()
    found = scan_pictures(tmp_path)
    assert (found.names, found.told(), found.found) == (["a.png"], "", 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_counted(folder):
    (folder / "below").chmod(0)
    assert scan_pictures(folder).left_out["folder that cannot be read"] == 1
    (folder / "below").chmod(0o755)
