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
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparisons.jsonl", "images", "README.md", ".dina-lrm.json",
    }  # fmt: skip
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
        ("uncurate --config.batch-size 65 --config.images 64", "config.batch_size: got 65; accepted: at most 64"),
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


def trained(command, folder, *words):
    target = folder.with_suffix(".json")
    assert main(["synthetic", command, "--out", str(folder), "--json", str(target), "--quiet", *words]) == 0
    return json.loads(target.read_text())


SMALL = ("--config.images", "32", "--config.steps", "2", "--config.batch-size", "8", "--config.warmup", "1")


def test_a_judge_is_trained_and_its_result_is_what_its_folder_says(tmp_path):
    found = trained("judge", tmp_path / "judge", "--prompts", "3", "--steps", "3", "--pairs", "3")
    assert found.pop("folder") == str(tmp_path / "judge")
    assert found == json.loads((tmp_path / "judge" / "facts.json").read_text())
    assert set(found["sets"]) == {"in domain", "unseen compositions", "unseen defects"} and found["steps"] == 3


@pytest.mark.slow
def test_the_uncurated_lora_is_trained_and_its_result_is_what_its_folder_says(tmp_path):
    found = trained("uncurate", tmp_path / "out", *SMALL, "--config.rank", "2")
    assert found.pop("folder") == str(tmp_path / "out" / "lora")
    assert found == json.loads((tmp_path / "out" / "lora" / "facts.json").read_text())
    assert 0 < found["flow_loss"] < 10 and found["config"]["steps"] == 2


def config_of(part, **values):
    return [word for name, value in values.items() for word in (f"--config.{part}.{name}", str(value))]


@pytest.mark.slow
def test_a_generator_is_pretrained_stops_when_asked_and_goes_on(tmp_path, warm_programs):
    """SIGTERM after a step: it says where it stopped and exits with 0; the same command ends what it began."""
    vae = config_of("vae", images=32, steps=24, **{"batch-size": 8, "held-out": 8})
    flow = config_of("generator", images=32, steps=2, **{"batch-size": 8})
    words = ["--config.no-compile", "--config.checkpoint-seconds", "0", *vae, *flow]
    command = [str(warm_programs / "dina-lrm"), "synthetic", "pretrain", "--out", str(tmp_path / "out"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        while process.poll() is None and not list(tmp_path.glob("out/autoencoder/step-*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and "autoencoder: stopped by SIGTERM after step" in told
    assert "the state is saved, the same command goes on" in told
    found = trained("pretrain", tmp_path / "out", *words)
    assert found.pop("folder") == str(tmp_path / "out" / "generator")
    assert found == json.loads((tmp_path / "out" / "generator" / "facts.json").read_text())
