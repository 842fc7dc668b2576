"""One process a folder or table; the lock ends with its process."""

import os
import subprocess
import sys

import pytest

from dina_lrm.runs.lock import BusyError, one_writer

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
