import pytest

from dina_lrm.runs.places import check_file, check_folder, check_new_folder


def test_good_places_pass_and_nothing_is_made(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old.csv").touch()
    for name in ("new", "old", "new/below"):
        check_folder("--out", tmp_path / name)
    for name in ("new.csv", "old.csv", "new/below.CSV"):
        check_file("--out", tmp_path / name, (".csv",))
    check_new_folder("--out", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "old.csv"]


@pytest.mark.parametrize(
    ("check", "name", "reason"),
    [
        (check_folder, "file", "is a file"),
        (check_folder, "file/below", "is a file"),
        (check_folder, "n" * 300, "File name too long"),
        (check_folder, "/proc/nothing", "nothing can be written in /proc"),
        (check_new_folder, "folder", "exists already"),
        (check_new_folder, "link", "exists already"),
        (check_file, "folder", "is a folder"),
        (check_file, "file/below.csv", "is a file"),
        (check_file, "/proc/nothing.csv", "nothing can be written in /proc"),
        (lambda option, path: check_file(option, path, (".png", ".svg")), "a.xls", "accepted: .png, .svg"),
    ],
)
def test_places_that_fail_later_are_refused_now(check, name, reason, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(ValueError, match=f"--out .*{reason}"):
        check("--out", tmp_path / name)
