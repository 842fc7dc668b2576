"""A source is known by what it holds, wherever it lies."""

import os

from dina_lrm.runs.content import content_of, content_of_folder


def test_a_file_and_its_bytes_are_one_content(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"picture")
    assert content_of(path) == content_of(str(path)) == content_of(b"picture")


def test_a_file_written_anew_is_another_even_with_its_old_size_and_time(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    first, times = content_of(path), path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert content_of(path) == content_of(b"two") != first


def test_a_folder_is_its_names_and_what_they_hold(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.json").write_text("1")
    first = content_of_folder(tmp_path)
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "a" / "note.txt").write_text("x")
    assert content_of_folder(tmp_path, (".json",)) == first != content_of_folder(tmp_path)
    (tmp_path / "a" / "one.json").rename(tmp_path / "a" / "two.json")
    assert content_of_folder(tmp_path, (".json",)) != first
