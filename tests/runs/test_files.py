"""Files are whole or absent, as readable as the umask says, and what a killed writer left goes."""

import os
import stat
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from dina_lrm.runs.files import (
    append_line,
    clear_litter,
    folder_replaced_when_complete,
    recover_folder,
    replaced_when_complete,
    save_tensors,
    temporary_name,
    write_json,
    write_text,
)
from dina_lrm.runs.json_files import read_json_lines


def dead_process() -> int:
    """The number of a process that has ended."""
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(done.stdout)


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"before": 1})
    with replaced_when_complete(path) as temporary:
        temporary.write_text("half")
        assert "before" in path.read_text()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_failed_block_changes_nothing_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(RuntimeError), replaced_when_complete(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (path.read_text(), os.listdir(tmp_path)) == ("before", ["a.txt"])


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_says_who_may_read(tmp_path, umask):
    before = os.umask(umask)
    try:
        save_tensors(tmp_path / "t.safetensors", {"a": torch.ones(2, 3).t()})
        write_text(tmp_path / "t.txt", "text")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~umask}
    assert torch.equal(load_file(tmp_path / "t.safetensors")["a"], torch.ones(3, 2))


def test_a_name_of_the_greatest_length_is_written(tmp_path):
    path = tmp_path / ("n" * 255)
    write_text(path, "text")
    assert path.read_text() == "text"


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real.txt").write_text("before")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "after")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "after"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write_text(pipe, "through")
    assert reader.communicate()[0] == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="is no regular file"), replaced_when_complete(tmp_path):
        pass


def test_two_writers_of_one_process_may_write_the_same_file_at_once(tmp_path):
    path = tmp_path / "a.txt"
    with replaced_when_complete(path) as first:
        first.write_text("first")
        with replaced_when_complete(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    mine = temporary_name(tmp_path / "b.json", ".json").name
    left = tmp_path / mine.replace(f".{os.getpid()}.", f".{dead_process()}.")
    living = tmp_path / mine.replace(f".{os.getpid()}.", f".{os.getppid()}.")
    user = tmp_path / ".dina-lrm.notes.tmp"
    for path in (left, living, user):
        path.write_text("x")
    write_text(tmp_path / "a.txt", "text")
    assert not left.exists()
    assert living.exists()
    clear_litter(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".dina-lrm.notes.tmp", "a.txt"]


def test_what_another_machine_writes_into_a_shared_folder_stays(tmp_path):
    """Its processes are not those of this one: a number that is dead here may live there."""
    other = tmp_path / f".dina-lrm.{dead_process()}.01234567.0123456789ab.tmp.json"
    other.write_text("half")
    write_text(tmp_path / "a.txt", "text")
    assert other.exists()
    with folder_replaced_when_complete(tmp_path / "b"):
        assert other.exists()
    clear_litter(tmp_path)  # the caller holds the folder: nobody writes there
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b"]


def test_a_folder_takes_the_place_of_an_earlier_one_whole(tmp_path):
    folder = tmp_path / "model"
    for text in ("one", "two"):
        with folder_replaced_when_complete(folder) as new:
            (new / "sub").mkdir()
            (new / "sub" / "a.txt").write_text(text)
    assert (folder / "sub" / "a.txt").read_text() == "two"
    with pytest.raises(RuntimeError), folder_replaced_when_complete(folder) as new:
        raise RuntimeError
    assert (folder / "sub" / "a.txt").read_text() == "two"
    assert os.listdir(tmp_path) == ["model"]


KILLED = """
import os, sys
from pathlib import Path
from dina_lrm.runs import files
calls = 0
replace = os.replace
def killing(*names):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os._exit(9)
    replace(*names)
os.replace = killing
with files.folder_replaced_when_complete(Path(sys.argv[1])) as new:
    (new / "a.txt").write_text("new")
"""


@pytest.mark.parametrize("call", [1, 2])
def test_a_kill_between_the_renames_loses_no_folder(tmp_path, call):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.txt").write_text("old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(folder), str(call)]).returncode == 9
    recover_folder(folder)
    assert (folder / "a.txt").read_text() == "old"
    with folder_replaced_when_complete(folder) as new:
        (new / "a.txt").write_text("newer")
    assert (folder / "a.txt").read_text() == "newer"
    assert os.listdir(tmp_path) == ["model"]


def test_lines_grow_one_by_one(tmp_path):
    path = tmp_path / "lines.jsonl"
    append_line(path, {"prompt": "line\u2028separator \r ü"})
    append_line(path, {"step": 2})
    with path.open("a") as file:
        file.write('{"step": 3')
    assert read_json_lines(path) == [{"prompt": "line\u2028separator \r ü"}, {"step": 2}]


def test_a_folder_written_by_others_gets_the_modes_of_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        with folder_replaced_when_complete(tmp_path / "made") as folder:
            (folder / "below").mkdir()
            for name in ("own.bin", "below/own.bin"):
                (folder / name).touch(mode=0o600)
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644} and len(files) == 2
