"""Only what this program made and nobody touched may be replaced."""

from pathlib import Path

import pytest

from dina_lrm.runs.ownership import (
    MARKER,
    check_no_leftovers,
    check_page,
    check_replaceable,
    check_results,
    is_made_here,
    made_folder,
    mark,
    page_beside,
)


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


def write(folder, text):
    with made_folder(folder, "reward model") as place:
        (place / "a.txt").write_text(text)


def test_an_artefact_takes_the_place_of_an_earlier_one(tmp_path):
    folder = tmp_path / "deep" / "model"
    write(folder, "first")
    write(folder, "second")
    assert (folder / "a.txt").read_text() == "second"
    assert is_made_here(folder, "reward model")
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_an_artefact_that_is_not_finished_leaves_the_earlier_one(tmp_path):
    write(tmp_path / "model", "first")
    with pytest.raises(RuntimeError), made_folder(tmp_path / "model", "reward model") as place:
        (place / "a.txt").write_text("half")
        raise RuntimeError
    assert (tmp_path / "model" / "a.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_comes_while_an_artefact_is_made_is_kept(tmp_path):
    write(tmp_path / "model", "first")
    with pytest.raises(FileExistsError, match="mine"), made_folder(tmp_path / "model", "reward model") as place:
        (place / "a.txt").write_text("second")
        (tmp_path / "model" / "mine.txt").write_text("mine")
    assert (tmp_path / "model" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "model" / "a.txt").read_text() == "first"


def test_the_working_directory_is_not_exchanged(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    for folder in (tmp_path / "a" / "b", tmp_path / "a"):
        with pytest.raises(FileExistsError, match="is the working directory, or holds it"):
            check_replaceable(folder, "reward model")


def test_results_take_the_place_of_earlier_ones_alone(tmp_path):
    def check():
        check_results(tmp_path, "a.json", lambda found: "points" in found, ("a.html", "plots"))

    check()
    (tmp_path / "plots").mkdir()
    with pytest.raises(FileExistsError, match=r"holds 'plots', and no a\.json of an earlier run"):
        check()
    for text in ("", "[]", "{", '{"mine": 1}'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(FileExistsError, match=r"holds 'a\.json'.* nothing was written over"):
            check()
    (tmp_path / "a.json").write_text('{"points": []}')
    check()


def test_a_page_takes_the_place_of_an_earlier_one_alone(tmp_path):
    page = tmp_path / "a.html"
    check_page(page, "Written by us")
    page.write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.html: is there, and nothing in it says"):
        check_page(page, "Written by us")
    page.write_text("<p>Written by us</p>")
    check_page(page, "Written by us")
    with pytest.raises(FileExistsError):
        check_page(tmp_path, "Written by us")


def test_a_page_lies_beside_its_folder_however_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert page_beside(Path("a/b")) == Path("a/b.md")
    assert page_beside(Path(".")) == tmp_path.with_name(f"{tmp_path.name}.md")


def test_a_run_does_not_begin_over_files_of_which_nothing_is_known(tmp_path):
    check_no_leftovers(tmp_path / "new", ("checkpoints",), "config.json")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(FileExistsError, match=r"holds 'checkpoints' and no config\.json"):
        check_no_leftovers(tmp_path, ("metrics.jsonl", "checkpoints"), "config.json")
    (tmp_path / "config.json").write_text("{}")
    check_no_leftovers(tmp_path, ("metrics.jsonl", "checkpoints"), "config.json")


def test_a_link_is_known_by_the_place_that_it_names(tmp_path):
    folder, picture = tmp_path / "links", tmp_path / "a.png"
    picture.write_text("a")
    with made_folder(folder, "links") as temporary:
        (temporary / "0001").symlink_to(picture)
    picture.write_text("another")
    check_replaceable(folder, "links")
    (folder / "0001").unlink()
    (folder / "0001").symlink_to(tmp_path)
    with pytest.raises(FileExistsError, match="'0001' was changed"):
        check_replaceable(folder, "links")
