"""One process a folder or table; the lock ends with its process."""

import errno
import fcntl
import os
import stat
import subprocess
import sys

import pytest

from dina_lrm.runs.lock import BusyError, check_free, held_folder, held_name, one_writer

HOLDS = """
import sys
from pathlib import Path
from dina_lrm.runs.lock import one_writer
with one_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_second_writer_is_refused_until_the_first_ends(tmp_path, kind):
    target = tmp_path / "run" if kind == "folder" else tmp_path / "scores.csv"
    if kind == "folder":
        target.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match="another process is writing there"), one_writer(target):
        pass
    holder.kill()
    holder.communicate()
    with one_writer(target):
        pass
    assert os.listdir(tmp_path) == (["run"] if kind == "folder" else [])


def test_one_process_holds_a_place_once(tmp_path):
    with one_writer(tmp_path / "a.csv"), one_writer(tmp_path / "b.csv"):
        with pytest.raises(BusyError), one_writer(tmp_path / "a.csv"):
            pass
    assert os.listdir(tmp_path) == []


def test_a_folder_is_made_held_and_goes_again_where_it_stayed_empty(tmp_path):
    for name, writes in (("empty", False), ("used", True)):
        folder = tmp_path / name / "run"
        with held_folder(folder):
            with pytest.raises(BusyError):
                check_free(folder)
            if writes:
                (folder / "config.json").touch()
        assert folder.exists() == writes
        check_free(folder)
    with held_folder(tmp_path / "other", holds=False):
        assert not (tmp_path / "other").exists()


def test_where_folders_cannot_be_locked_a_file_beside_them_is(tmp_path, monkeypatch):
    """Network file systems lock files only: the call fails there as it does here."""
    real, run = fcntl.flock, tmp_path / "run"
    run.mkdir()

    def files_only(descriptor, how):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", files_only)
    with one_writer(run), pytest.raises(BusyError), one_writer(run):
        pass
    assert os.listdir(tmp_path) == ["run"]


def test_a_name_is_held_whatever_comes_to_lie_there(tmp_path):
    target = tmp_path / "new" / "out"
    with held_name(target):
        with pytest.raises(BusyError, match="another process is writing there"), held_name(target):
            pass
        with held_name(tmp_path / "new" / "other"):
            pass
    (tmp_path / "out").mkdir()
    with held_name(tmp_path / "out"):
        (tmp_path / "out").rmdir()
        with pytest.raises(BusyError), held_name(tmp_path / "out"):
            pass
    assert os.listdir(tmp_path) == []
