import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dina_lrm.runs.metrics import read_lines
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.training.launched_run import launched_config
from tests.training.tiny_runs import tiny_comparisons


@pytest.mark.slow
def test_two_processes_train_what_one_does(tiny_folder, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, "-m", "tests.training.launched_run", str(tiny_folder), str(tmp_path / "two")]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    train(TrainingPlan(launched_config(tiny_folder), tiny_comparisons(), tmp_path / "one", quiet=True))
    lines = [read_lines(tmp_path / name / "metrics.jsonl") for name in ("one", "two")]
    for one, two in zip(*lines, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
        assert one["accuracy"] == two["accuracy"]
        assert one["gradient_norm"] == pytest.approx(two["gradient_norm"], rel=1e-3)
    weights = [load_file(tmp_path / name / "checkpoints" / "step-3" / "weights.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-5, rtol=1e-3)
