import json
import os
import threading
from pathlib import Path

import pytest

from dina_lrm.console.result import begin_json, write_json


def test_a_result_is_never_that_of_an_earlier_command(tmp_path):
    target = tmp_path / "r.json"
    target.write_text('{"accuracy": 1}')
    begin_json(target)
    assert json.loads(target.read_text()) == {"error": "the command has not ended, or was killed"}
    write_json(target, {"accuracy": 0.5})
    assert json.loads(target.read_text()) == {"accuracy": 0.5}
    assert os.listdir(tmp_path) == ["r.json"]


def test_nothing_is_made_before_there_is_a_result(tmp_path):
    begin_json(tmp_path / "new" / "r.json")
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "new" / "r.json", {})
    assert (tmp_path / "new" / "r.json").is_file()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file.txt/r.json", "is a file; accepted: a name in a folder"),
        ("folder", "is a folder"),
        ("n" * 300, "File name too long"),
        (f"{'n' * 300}/r.json", "File name too long"),
        ("\0.json", "null"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_refused(name, reason, tmp_path):
    (tmp_path / "file.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=f"--json .*{reason}"):
        begin_json(tmp_path / name)
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_the_files_of_the_command_are_not_written_over(tmp_path):
    data = tmp_path / "data.json"
    data.write_text("[]")
    (tmp_path / "link.json").symlink_to(data)
    for name in ("data.json", "link.json"):
        with pytest.raises(ValueError, match="the command works on that file"):
            begin_json(tmp_path / name, ["a text", str(data)])
    with pytest.raises(ValueError, match="the command works on that file"):
        begin_json(tmp_path / "new.csv", [tmp_path / "new.csv"])
    assert data.read_text() == "[]"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    begin_json(pipe)
    write_json(pipe, {"a": 1})
    reader.join()
    assert json.loads(got[0]) == {"a": 1} and pipe.is_fifo()


def test_devices_stay_devices(capfd):
    for name in ("/dev/null", "/dev/stdout"):
        begin_json(Path(name))
        write_json(Path(name), {"a": 1})
    assert json.loads(capfd.readouterr().out) == {"a": 1}
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        write_json(Path("/dev/full"), {"a": 1})


def test_names_that_are_no_text_are_shown_and_the_file_is_strict_json(tmp_path):
    write_json(tmp_path / "r.json", {"caf\udce9": Path("\ud83d"), "n": float("nan")})
    assert json.loads((tmp_path / "r.json").read_bytes()) == {"caf\\xe9": "\\ud83d", "n": None}
    with pytest.raises(TypeError, match="which JSON cannot say"):
        write_json(tmp_path / "r.json", {"a": {1}})
