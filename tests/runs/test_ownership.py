"""Only what this program made and nobody touched may be replaced."""

import pytest

from dina_lrm.runs.ownership import MARKER, check_replaceable, is_made_here, mark


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.txt").write_text("b")
    mark(folder, "reward model")
    return folder


def test_what_was_made_here_may_be_replaced(made, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (made, tmp_path / "new", tmp_path / "empty"):
        check_replaceable(folder, "reward model")


def test_equal_folders_have_equal_markers(made, tmp_path):
    other = tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / "sub" / "b.txt").write_text("b")
    (other / "a.txt").write_text("a")
    mark(other, "reward model")
    assert (other / MARKER).read_bytes() == (made / MARKER).read_bytes()


def add(name):
    def change(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (add("photo.jpg"), "photo.jpg"),
        (add("sub/photo.jpg"), "sub/photo.jpg"),
        (add("deep/photo.jpg"), "deep/photo.jpg"),
        (add("a.txt"), "a.txt"),
        (lambda folder: (folder / "link").symlink_to(folder.parent), "link"),
        (lambda folder: (folder / MARKER).write_text("{}"), MARKER),
        (lambda folder: (folder / MARKER).unlink(), "a.txt"),
        (lambda folder: mark(folder, "demonstration"), "demonstration"),
    ],
)
def test_what_somebody_touched_is_refused_by_name(made, change, named):
    change(made)
    before = sorted(made.rglob("*"))
    with pytest.raises(FileExistsError, match=named) as caught:
        check_replaceable(made, "reward model")
    assert "nothing was removed" in str(caught.value)
    assert sorted(made.rglob("*")) == before
    assert not is_made_here(made, "reward model")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(FileExistsError, match="is a file"):
        check_replaceable(tmp_path / "a", "reward model")
