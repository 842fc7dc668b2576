"""Checkpoints that are written while the run goes on."""

import os
import threading

import pytest
import torch

from dina_lrm.runs.checkpoints.kept import Kept
from dina_lrm.runs.checkpoints.stored import Checkpoint, complete_checkpoints, load_checkpoint, newest_checkpoint
from dina_lrm.runs.checkpoints.writer import CheckpointWriter


def a_checkpoint(step, weight):
    return Checkpoint(step, {"weights": {"a": weight}}, {"seed": 5})


def steps(folder):
    return [path.name for path in complete_checkpoints(folder)]


def test_what_is_written_is_what_was_given_though_it_learns_on(tmp_path):
    weight = torch.zeros(4)
    with CheckpointWriter(tmp_path, Kept(2)) as writer:
        for step in (1, 2, 3):
            weight += 1
            writer.save(a_checkpoint(step, weight))
            weight += 0.5
    assert steps(tmp_path) == ["step-2", "step-3"]
    assert load_checkpoint(tmp_path / "step-3").tensors["weights"]["a"].tolist() == [4.0] * 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("checkpoint")]


def test_it_waits_for_the_one_before_and_at_the_end(tmp_path):
    writer = CheckpointWriter(tmp_path, Kept(3))
    writer.save(a_checkpoint(1, torch.zeros(1_000_000)))
    writer.wait()
    assert steps(tmp_path) == ["step-1"]
    with writer:
        writer.save(a_checkpoint(2, torch.zeros(1_000_000)))
    assert steps(tmp_path) == ["step-1", "step-2"]


def test_what_goes_wrong_is_raised_at_the_next_one(tmp_path):
    place = tmp_path / "checkpoints"
    place.write_text("no folder")
    writer = CheckpointWriter(place, Kept(1))
    writer.save(a_checkpoint(1, torch.zeros(2)))
    with pytest.raises(OSError, match="checkpoints"):
        writer.save(a_checkpoint(2, torch.zeros(2)))
    with pytest.raises(RuntimeError, match="of the run") as raised, CheckpointWriter(place, Kept(1)) as writer:
        writer.save(a_checkpoint(1, torch.zeros(2)))
        raise RuntimeError("of the run")
    assert "could not be written" in raised.value.__notes__[0]


def measured(step, accuracy, loss=0.5):
    return Checkpoint(step, {}, {"validation": {"accuracy": accuracy, "loss": loss}})


def test_the_best_stay_beside_the_newest(tmp_path):
    found = (0.5, 0.8, float("nan"), 0.7, 0.8, 0.6)
    with CheckpointWriter(tmp_path, Kept(last=1, best=2)) as writer:
        for step, accuracy in enumerate(found, 1):
            known = {} if accuracy != accuracy else {"accuracy": accuracy}
            writer.save(Checkpoint(step, {}, {"validation": known}))
    assert steps(tmp_path) == ["step-2", "step-5", "step-6"]
    assert newest_checkpoint(tmp_path).step == 6


def test_lower_losses_are_better_and_of_equal_ones_the_earlier(tmp_path):
    with CheckpointWriter(tmp_path, Kept(last=1, best=1, by="loss")) as writer:
        for step, loss in enumerate((0.3, 0.2, 0.2, 0.4), 1):
            writer.save(measured(step, 0.5, loss))
    assert steps(tmp_path) == ["step-2", "step-4"]


def test_a_kill_while_it_writes_leaves_the_one_before(tmp_path):
    with CheckpointWriter(tmp_path, Kept(3)) as writer:
        writer.save(a_checkpoint(1, torch.ones(3)))
    child = os.fork()
    if child == 0:
        writer = CheckpointWriter(tmp_path, Kept(3))
        writer.save(a_checkpoint(2, torch.ones(20_000_000)))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    found = newest_checkpoint(tmp_path)
    assert found.step in (1, 2) and found.tensors["weights"]["a"][0] == 1
    with CheckpointWriter(tmp_path, Kept(3)) as writer:
        writer.save(a_checkpoint(3, torch.ones(3)))
    assert all(path.name.startswith("step-") for path in tmp_path.iterdir())
