"""A command that is killed at its file operations ends, given again, as if nobody had killed it."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.kills import MODES, _same

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_sample_of_kills_leaves_no_trace(tmp_path: Path, warm_programs: Path) -> None:
    told = tmp_path / "kills.json"
    commands = ("generate", "filter", "score", "prepare", "convert")
    command = [str(warm_programs / "python"), "-m", "benchmarks.kills", "--every", "6", "--json", str(told)]
    done = subprocess.run([*command, "--commands", *commands], cwd=ROOT, capture_output=True, text=True)
    found = json.loads(told.read_text()) if told.is_file() else {}
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    for name in commands:
        assert found[name]["failures"] == []
        assert found[name]["operations"] > 0
    kills = {mode: sum(found[name]["kills"][mode] for name in commands) for mode in MODES}
    assert kills["before"] >= 10
    assert min(kills.values()) >= 1


def test_scores_may_differ_by_what_bfloat16_rounds_and_by_no_more() -> None:
    table = "table\nimage,prompt,score,error\na.png,a ring,0.25,\n"
    assert _same(table, table)
    assert _same(table, table.replace("0.25", "0.251"))
    assert not _same(table, table.replace("0.25", "0.35"))
    assert not _same(table, table.replace("0.25", "nan"))
    assert not _same(table, table.replace("0.25", ""))
    assert not _same(table, table.replace("a ring", "a bar"))
    assert not _same(table, table + "b.png,a ring,0.1,\n")
    assert not _same(table, None)
    assert not _same("a hash", "another hash")
