"""Runs that are stopped, resumed, held by another process or given something else under the same name."""

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace

import pytest
import torch

from dina_lrm.alignment.contents import contents
from dina_lrm.alignment.monitor.looks import LostLooksWarning
from dina_lrm.alignment.monitor.records import read_records
from dina_lrm.alignment.trainer import AlignmentRun
from dina_lrm.locate import BUNDLED
from dina_lrm.runs.lock import BusyError, one_writer
from dina_lrm.runs.ownership import MARKER
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import PROMPTS, REFL, a_generator, a_run


def interrupted(config, folder, at, number=signal.SIGTERM):
    """A run that gets a signal in update `at`, or in its first look for 0, and what it said when it went on."""
    said = []

    def ask(step):
        if step == at:
            os.kill(os.getpid(), number)

    run = AlignmentRun(config, a_generator(config), PROMPTS, PROMPTS[:2], folder, say=said.append)
    first = run.run(lambda look: ask(look.step) if at == 0 else None, lambda step, *_: ask(step))
    again = AlignmentRun(config, a_generator(config), PROMPTS, PROMPTS[:2], folder, resume=True, say=said.append)
    return first, again.run(lambda look: None, lambda *_: None), said


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    a_run(REFL, folder)
    return folder


FILES = ("config.json", "metrics.jsonl", "monitor.jsonl", "outcome.json", "lora/pytorch_lora_weights.safetensors")


@pytest.mark.parametrize(
    ("at", "number"), [(0, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM), (4, signal.SIGTERM)]
)
def test_a_signal_saves_and_the_run_goes_on_to_the_same_bytes(at, number, whole, tmp_path):
    first, last, said = interrupted(REFL, tmp_path / "run", at, number)
    assert (first.steps, first.interrupted, first.lora_step) == (at, signal.Signals(number).name, None)
    assert last.steps == 4 and last.interrupted is None
    name = signal.Signals(number).name
    assert said[0] == f"stopped by {name} after update {at} of 4; the state is saved, resume goes on"
    assert said[-1].endswith(f"goes on from update {at}")
    for file in FILES:
        assert (tmp_path / "run" / file).read_bytes() == (whole / file).read_bytes(), file
    assert [record.step for record in read_records(tmp_path / "run")] == [0, 2, 4]
    assert [*(tmp_path / "run").rglob(".dina-lrm*")] == [tmp_path / "run" / "lora" / MARKER]


def test_looks_whose_records_are_gone_are_told(tmp_path):
    def ask(step, *_):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    folder = tmp_path / "run"
    AlignmentRun(REFL, a_generator(REFL), PROMPTS, PROMPTS[:2], folder).run(lambda look: None, ask)
    assert read_records(folder)
    (folder / "monitor.jsonl").write_text("")
    again = AlignmentRun(REFL, a_generator(REFL), PROMPTS, PROMPTS[:2], folder, resume=True)
    with pytest.warns(LostLooksWarning, match="no records of the looks at steps 0, whose samples are in samples"):
        again.run(lambda look: None, lambda *_: None)


def test_a_damaged_checkpoint_is_passed_over_and_said(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "outcome.json").unlink()
    damaged = run / "checkpoints" / "step-4" / "optimizer.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x7f")
    said = []
    again = AlignmentRun(REFL, a_generator(), PROMPTS, PROMPTS[:2], run, resume=True, say=said.append)
    assert again.run(lambda look: None, lambda *_: None).steps == 4
    assert "optimizer.safetensors is not what was written" in said[-1] and said[-1].endswith("goes on from update 2")
    for file in FILES:
        assert (run / file).read_bytes() == (whole / file).read_bytes(), file


def test_a_second_process_is_refused_while_the_first_runs(tmp_path):
    with one_writer(tmp_path), pytest.raises(BusyError, match="another process is writing there"):
        a_run(REFL, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("config.json", "", r"config.json: not a JSON value"),
        ("config.json", "[1]", r"config.json: holds a list; accepted: a JSON object"),
        ("prompts.json", '{"prompts": 3}', r"prompts.json.values.prompts: expected str, got 3"),
        ("outcome.json", '{"stopped": null}', r"outcome.json: the key 'steps' is missing"),
        ("outcome.json", "{}{}", r"outcome.json: not a JSON value"),
        ("metrics.jsonl", '{"loss": 1}\n', r"metrics.jsonl, line 1: .*'step' is a whole number"),
        ("metrics.jsonl", "[]\n", r"metrics.jsonl, line 1"),
        ("monitor.jsonl", '{"steps": 1}\n', r"monitor.jsonl, line 1.steps: unknown key 'steps'"),
        ("monitor.jsonl", "3\n", r"monitor.jsonl, line 1: expected a table"),
    ],
)
def test_files_of_a_run_that_cannot_be_read_are_named(file, text, said, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    if file != "outcome.json":
        (tmp_path / "run" / "outcome.json").unlink()
    (tmp_path / "run" / file).write_text(text)
    with pytest.raises(ValueError, match=said):
        a_run(REFL, tmp_path / "run", resume=True)


def test_a_reward_or_generator_changed_under_its_name_is_another_run(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(BUNDLED["synthetic"]["reward_model"], model)
    config = replace(REFL, steps=2, rewards=(RewardTerm(f"latent:{model}", noise_level=0.2),))
    a_run(config, tmp_path / "run", stop_after=1)
    values = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(values | {"score_mean": 5.0}))
    with pytest.raises(ValueError, match=r"started with other reward latent:.*model"):
        a_run(config, tmp_path / "run", resume=True)
    changed = a_generator(config)
    with torch.no_grad():
        next(changed.pipeline.vae.parameters()).add_(0.1)
    (model / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"prompts.json: the run was started with other generator"):
        AlignmentRun(config, changed, PROMPTS, PROMPTS[:2], tmp_path / "run", resume=True)
    told = json.loads((tmp_path / "run" / "prompts.json").read_text())
    old = {name: told[name] for name in ("prompts", "look prompts")}
    (tmp_path / "run" / "prompts.json").write_text(json.dumps(old))
    said = []
    run = AlignmentRun(
        config, a_generator(config), PROMPTS, PROMPTS[:2], tmp_path / "run", resume=True, say=said.append
    )
    assert "nothing is known of the generator and reward latent:" in said[0]
    run.run(lambda look: None, lambda *_: None)
    assert json.loads((tmp_path / "run" / "prompts.json").read_text()) == told


def test_what_is_held_is_the_same_in_another_place_and_with_a_lora_that_learned(tmp_path):
    shutil.copytree(BUNDLED["synthetic"]["reward_model"], tmp_path / "model")
    found = []
    for name in ("latent:synthetic", f"latent:{tmp_path / 'model'}"):
        generator = a_generator()
        objective = Objective(generator, (RewardTerm(name), RewardTerm("sharpness")))
        with torch.no_grad():
            for parameter in generator.parameters.values():
                parameter.add_(len(found))
        found.append(contents(generator, objective.rewards))
    assert list(found[0].values()) == list(found[1].values())
    assert len(set(found[0].values())) == 3


@pytest.mark.slow
def test_sigterm_of_a_command_ends_it_well(tmp_path, warm_programs):
    words = "align refl synthetic --prompts synthetic --batch-size 4 --micro-batch 4 --ema-every 1 --looks.prompts 2"
    words += f" --looks.images 1 --looks.every 3 --steps 30 --out {tmp_path / 'run'} --json {tmp_path / 'r.json'}"
    command = [str(warm_programs / "dina-lrm"), *words.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None and not (metrics.is_file() and metrics.read_text().count("\n") >= 2):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=300)
    found = json.loads((tmp_path / "r.json").read_text())
    assert process.returncode == 0 and found["interrupted"] == "SIGTERM"
    assert f"stopped by SIGTERM after update {found['steps']} of 30; the state is saved" in told
    assert (tmp_path / "run" / "checkpoints" / f"step-{found['steps']}").is_dir()
