"""A command that is killed at its file operations ends, given again, as if nobody had killed it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kills import MODES


@pytest.mark.slow
def test_a_sample_of_kills_leaves_no_trace(tmp_path: Path) -> None:
    told = tmp_path / "kills.json"
    commands = ("generate", "filter", "score", "prepare", "convert")
    command = [sys.executable, "-m", "benchmarks.kills", "--every", "4", "--json", str(told), "--commands", *commands]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(told.read_text()) if told.is_file() else {}
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    for name in commands:
        assert found[name]["failures"] == []
        assert found[name]["operations"] > 0
    kills = {mode: sum(found[name]["kills"][mode] for name in commands) for mode in MODES}
    assert kills["before"] >= 10
    assert min(kills.values()) >= 1
