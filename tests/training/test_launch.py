"""Several processes train what one does, whether each holds all weights or all hold them together."""

import json
import subprocess

import pytest
import torch
from safetensors.torch import load_file

from dina_lrm.runs.checkpoints.stored import load_checkpoint
from dina_lrm.runs.metrics import read_lines
from dina_lrm.training.trainer import train
from tests.training.launched_run import launched_plan
from tests.training.launching import ROOT, ended, free_port, start_group

pytestmark = pytest.mark.slow
JOBS = ("ddp/lora", "ddp/cut", "fsdp/full", "fsdp/cut", "fsdp/bf16", "zero-2/sized")


@pytest.fixture(scope="module")
def runs(tiny_folder, tmp_path_factory, warm_programs):
    """The runs of two processes, and those of one."""
    place = tmp_path_factory.mktemp("runs")
    command = [str(warm_programs / "python"), "-m", "tests.training.launched_run", str(tiny_folder), str(place), "3"]
    for code, said in ended(start_group(2, [*command, *JOBS])):
        assert code == 0, said[-3000:]
    for variant in {job.split("/")[1] for job in JOBS}:
        train(launched_plan(tiny_folder, place / "one" / variant, variant))
    return place


@pytest.mark.parametrize("job", JOBS)
def test_two_processes_train_what_one_does(job, runs):
    one, two = runs / "one" / job.split("/")[1], runs / job
    rough = job.endswith("bf16")  # products round by the batch they are in
    for line, other in zip(*[read_lines(folder / "metrics.jsonl") for folder in (one, two)], strict=True):
        assert line.keys() == other.keys()
        for name in line.keys() & {"loss", "validation_loss", "gradient_norm"}:
            assert line[name] == pytest.approx(other[name], rel=0.05 if rough else 1e-3)
    if rough:
        return
    states = [load_checkpoint(folder / "checkpoints" / "step-3") for folder in (one, two)]
    for group in ("weights", "optimizer", "ema"):
        assert states[0].tensors[group].keys() == states[1].tensors[group].keys()
        for name, tensor in states[0].tensors[group].items():
            torch.testing.assert_close(states[1].tensors[group][name], tensor, atol=1e-5, rtol=2e-3)
    for file in ("head.safetensors", "reward_lora/adapter_model.safetensors", "backbone.safetensors"):
        assert (one / "model" / file).is_file() == (two / "model" / file).is_file()
        if (one / "model" / file).is_file():
            for name, tensor in load_file(one / "model" / file).items():
                torch.testing.assert_close(load_file(two / "model" / file)[name], tensor, atol=1e-5, rtol=2e-3)


@pytest.mark.parametrize("job", [job for job in JOBS if not job.startswith("ddp")])
def test_weights_that_are_shared_out_are_half_in_each_file(job, runs):
    step = runs / job / "checkpoints" / "step-3"
    parts = [load_file(step / f"weights-0000{part}-of-00002.safetensors") for part in (1, 2)]
    assert parts[0].keys() == parts[1].keys()
    sizes = [sum(tensor.numel() for tensor in part.values()) for part in parts]
    assert sizes[1] > 0.9 * sizes[0]


def test_two_machines_train_what_one_process_does(tiny_folder, tmp_path, warm_programs, runs):
    """Two launchers that meet at an address, each with a process of its own."""
    python, meeting = str(warm_programs / "python"), f"127.0.0.1:{free_port()}"
    launcher = [python, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--no-python"]
    launcher += ["--rdzv-id", "two", "--rdzv-backend", "c10d", "--rdzv-endpoint", meeting, "--local-addr", "127.0.0.1"]
    words = [python, "-m", "tests.training.launched_run", str(tiny_folder), str(tmp_path), "3", "fsdp/cut"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    machines = [subprocess.Popen([*launcher, *words], cwd=ROOT, **pipes) for _ in range(2)]
    for code, said in ended(machines):
        assert code == 0, said[-3000:]
    found, one = (read_lines(folder / "metrics.jsonl") for folder in (tmp_path / "fsdp" / "cut", runs / "one" / "cut"))
    assert [line["loss"] for line in found if "loss" in line] == pytest.approx(
        [line["loss"] for line in one if "loss" in line], rel=1e-4
    )


def test_killed_runs_go_on_with_other_processes(tmp_path, warm_programs):
    """A short chain of the benchmark: 1, killed, then 2 that share the weights, killed, then 1."""
    command = [str(warm_programs / "python"), "-m", "benchmarks.elastic", "--kills", "2", "--same", "0"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "found.json")], cwd=ROOT, capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    (found,) = json.loads((tmp_path / "found.json").read_text()).values()
    assert [(kill["world"], kill["way"]) for kill in found["kills"]] == [(1, "ddp"), (2, "fsdp")]
    assert found["batches"] >= 4 and found["other_batches"] == 0
    assert found["loss_deviation"] < 1e-4 and found["weight_deviation"] < 1e-4
