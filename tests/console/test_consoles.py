"""No console, however poor, costs finished work: real processes, of which the results are read from disk."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

NAME = "\u2b50 [b] caf\u00e9"
"""In a cp1252 console the star cannot be written, and rich would read the brackets."""


@pytest.fixture
def folder(tmp_path):
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{name}.png")
    row = {"prompt": "a red square", "image_a": "a.png", "image_b": "b.png", "preference": 1.0}
    (tmp_path / f"{NAME}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return tmp_path


def run(folder, out, *words, program=(sys.executable, "-m", "dina_lrm")):
    poor = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8", "LANG": "C"}
    command = [*program, *words]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **poor}, stdout=out, stderr=subprocess.PIPE, encoding="cp1252"
    )


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (
            ("score", "--images", "a.png", "--prompts", "a", "--model", "synthetic", "--out", f"{NAME}.csv"),
            f"{NAME}.csv",
        ),
        (("evaluate", "colourfulness", "--on", f"{NAME}.jsonl", "--out", NAME), f"{NAME}/report.html"),
    ],
    ids=["score", "evaluate"],
)
@pytest.mark.parametrize("console", ["cp1252", "/dev/full"])
def test_a_poor_console_loses_nothing(words, kept, console, folder, warm_programs):
    with open(os.devnull if console == "cp1252" else console, "w") as full:
        out = subprocess.PIPE if console == "cp1252" else full
        done = run(folder, out, *words, "--json", "r.json", program=[warm_programs / "dina-lrm"])
    assert done.returncode == 0, done.stderr
    assert "error" not in json.loads((folder / "r.json").read_text(encoding="utf-8"))
    assert (folder / kept).is_file()
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    if console == "cp1252":
        assert "\\u2b50 [b] caf\u00e9" in done.stdout


def test_a_pipe_that_is_closed_loses_nothing(folder):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = run(folder, closed, "data", "check", f"{NAME}.jsonl", "--json", "r.json")
    assert done.returncode == 0 and "Exception" not in done.stderr and "Traceback" not in done.stderr
    assert json.loads((folder / "r.json").read_text(encoding="utf-8"))["rows"] == 1
