"""The commands that make the synthetic world: what they refuse, and that what they write is whole."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dina_lrm.cli.main import main
from dina_lrm.runs.lock import held_name


def generate(*words):
    return main(["synthetic", "generate", *map(str, words), "--quiet"])


def test_the_folder_appears_when_it_is_complete_and_is_not_written_twice(tmp_path, capsys):
    assert generate("--prompts", 1, "--images", 2, "--out", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparisons.jsonl", "images"}
    row = json.loads((tmp_path / "out" / "comparisons.jsonl").read_text().splitlines()[0])
    assert (tmp_path / "out" / row["image_a"]).is_file()
    assert generate("--prompts", 1, "--out", tmp_path / "out") == 2
    assert "exists and is not empty" in capsys.readouterr().err
    with held_name(tmp_path / "other"):
        assert generate("--prompts", 1, "--out", tmp_path / "other") == 2
    assert "another process is writing there" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_after_a_kill_the_same_command_starts_again_and_leaves_no_litter(tmp_path):
    words = ["synthetic", "generate", "--prompts", "400", "--out", str(tmp_path / "out"), "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "dina_lrm", *words])
    while process.poll() is None and not list(tmp_path.glob(".dina-lrm.*/images/*.png")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (tmp_path / "out").exists()
    assert generate("--prompts", 2, "--images", 2, "--out", tmp_path / "out") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("generate --set in_domain --votes 3", "--votes: would have no effect; accepted with --set train"),
        ("generate --set generated --images 4", "--images"),
        ("generate --redraw", "--redraw"),
        ("generate --votes 0", "votes: got 0"),
        ("generate --ties nan", "ties: got nan"),
        ("generate --seed -1", "seed: got -1"),
        ("generate --personalities nobody", "personality 'nobody'"),
        ("uncurate --config.batch-size -1", "config.batch_size: got -1"),
        ("uncurate --config.batch-size 65 --config.images 64", "config.batch_size: got 65, accepted: at most 64"),
        ("uncurate --config.steps -1", "config.steps: got -1"),
        ("uncurate --seed -1", "seed: got -1"),
        ("judge --steps 0", "steps: got 0"),
        ("judge --seed -1", "seed: got -1"),
        ("pretrain --config.generator.batch-size 0", "config.generator.batch_size: got 0"),
        ("pretrain --config.unet.steps -1", "config.unet.steps: got -1"),
        ("pretrain --config.unet.steps 3", "--config.unet.steps: would have no effect"),
        ("pretrain --config.architecture unet --config.vae.steps 3", "--config.vae.steps: would have no effect"),
        ("pretrain --config.checkpoint-seconds nan", "config.checkpoint_seconds: got nan"),
    ],
)
def test_nonsense_and_what_has_no_effect_is_refused_by_its_option(words, said, tmp_path, capsys):
    command, *options = words.replace(" -1", "=-1").split()
    assert main(["synthetic", command, *options, "--out", str(tmp_path / "out"), "--quiet"]) == 2
    captured = capsys.readouterr()
    assert said in " ".join((captured.err + captured.out).replace("│", " ").split())
    assert not (tmp_path / "out").exists()
