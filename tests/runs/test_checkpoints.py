import hashlib
import json
import os
import re
import shutil
import signal
import threading

import pytest
import torch

from dina_lrm.runs.checkpoints.kept import Kept
from dina_lrm.runs.checkpoints.stored import (
    Checkpoint,
    complete_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    prune_checkpoints,
    resumption,
    save_checkpoint,
)
from dina_lrm.runs.learning import optimizer_tensors, restore_optimizer
from dina_lrm.runs.stopping import stop_on_signals
from dina_lrm.training.faults import non_finite_names, stop_for_non_finite


def a_checkpoint(step=3):
    return Checkpoint(step, {"weights": {"a": torch.arange(4.0)}, "ema": {"a": torch.zeros(4)}}, {"seed": 5})


def test_round_trip(tmp_path):
    path = save_checkpoint(tmp_path, a_checkpoint())
    read = load_checkpoint(path)
    assert path.name == "step-3"
    assert read.step == 3
    assert read.values == {"seed": 5}
    assert torch.equal(read.tensors["weights"]["a"], torch.arange(4.0))
    assert set(read.tensors) == {"weights", "ema"}
    assert not [file for file in path.rglob("*") if file.suffix not in {".safetensors", ".json"}]


def test_steps_are_ordered_as_numbers_and_the_newest_kept(tmp_path):
    for step in (9, 10, 100):
        save_checkpoint(tmp_path, a_checkpoint(step))
    prune_checkpoints(tmp_path, Kept(last=2))
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["step-10", "step-100"]


def cut_file(path):
    file = path / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_file, "weights.safetensors is missing or cut off"),
        (lambda path: (path / "ema.safetensors").unlink(), "ema.safetensors is missing"),
        (lambda path: (path / "state.json").unlink(), "state.json is missing"),
        (lambda path: (path / "state.json").write_text('{"step": 2, "fi'), "state.json: not a JSON value"),
        (lambda path: (path / "state.json").write_text("[]"), "state.json: holds a list; accepted: a JSON object"),
        (lambda path: (path / "state.json").write_text('{"step": 2, "values": {}}'), "the key 'files' is missing"),
        (lambda path: change_state(path, step=7), "state.json is of step 7"),
        (lambda path: change_state(path, files={"../a.safetensors": 3}), "names of safetensors files beside it"),
        (lambda path: change_state(path, step="2"), r"state.json.step: expected int, got '2'"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path, damage, said):
    save_checkpoint(tmp_path, a_checkpoint(1))
    newest = save_checkpoint(tmp_path, a_checkpoint(2))
    damage(newest)
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["step-1"]
    with pytest.raises(ValueError, match=said):
        load_checkpoint(newest)
    found = newest_checkpoint(tmp_path)
    assert found.step == 1 and len(found.passed_over) == 1
    assert re.search(said, resumption(found)) and resumption(found).endswith("goes on from step 1")
    shutil.rmtree(tmp_path / "step-1")
    with pytest.raises(ValueError, match="no checkpoint is whole"):
        newest_checkpoint(tmp_path)


def change_state(path, **values):
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps(state | values))


@pytest.mark.parametrize("name", ["weights.safetensors", "ema.safetensors"])
def test_a_flipped_bit_is_no_checkpoint(tmp_path, name):
    path = save_checkpoint(tmp_path, a_checkpoint())
    content = bytearray((path / name).read_bytes())
    content[-1] ^= 1
    (path / name).write_bytes(content)
    assert complete_checkpoints(tmp_path) == [path]  # sizes do not tell
    with pytest.raises(ValueError, match=f"{name} is not what was written"):
        load_checkpoint(path)
    with pytest.raises(ValueError, match="no checkpoint is whole"):
        newest_checkpoint(tmp_path)


def test_checkpoints_with_sizes_alone_are_still_read(tmp_path):
    path = save_checkpoint(tmp_path, a_checkpoint())
    sizes = {file.name: file.stat().st_size for file in path.glob("*.safetensors")}
    change_state(path, files=sizes)
    assert torch.equal(load_checkpoint(path).tensors["weights"]["a"], torch.arange(4.0))


def test_what_a_checkpoint_lacks_is_named(tmp_path):
    read = load_checkpoint(save_checkpoint(tmp_path, a_checkpoint()))
    assert read.value("seed", int) == 5
    for name, kind in (("seed", str), ("ema_updates", int)):
        with pytest.raises(ValueError, match=rf"state.json: values.{name} is"):
            read.value(name, kind)
    with pytest.raises(ValueError, match=r"state.json: has no average; it holds ema, weights"):
        read.group("average")


def test_a_kill_between_the_two_renames_of_a_replacement_loses_nothing(tmp_path):
    path = save_checkpoint(tmp_path, a_checkpoint())
    aside = tmp_path / f".dina-lrm.{hashlib.sha256(b'step-3').hexdigest()[:12]}.old"
    path.rename(aside)
    assert newest_checkpoint(tmp_path).step == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-3"]


def test_checkpoints_of_steps_that_the_run_has_not_reached_go(tmp_path):
    for step in (1, 2, 9):
        save_checkpoint(tmp_path, a_checkpoint(step))
    prune_checkpoints(tmp_path, Kept(last=2), newest=2)
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["step-1", "step-2"]


def test_files_are_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        path = save_checkpoint(tmp_path, a_checkpoint())
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o640}


def test_a_writer_killed_half_way_leaves_nothing_to_resume_from(tmp_path):
    (tmp_path / ".writing-step-4-77").mkdir()
    save_checkpoint(tmp_path, a_checkpoint(1))
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["step-1"]
    prune_checkpoints(tmp_path, Kept(last=1))
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


def test_saving_a_step_again_replaces_it(tmp_path):
    save_checkpoint(tmp_path, a_checkpoint())
    save_checkpoint(tmp_path, Checkpoint(3, {"weights": {"a": torch.ones(1)}}, {}))
    assert torch.equal(load_checkpoint(tmp_path / "step-3").tensors["weights"]["a"], torch.ones(1))


def small_optimizer():
    weights = [torch.nn.Parameter(torch.linspace(-1, 1, n)) for n in (3, 5)]
    optimizer = torch.optim.AdamW([{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.01}])
    return weights, optimizer, {id(p): f"p{i}" for i, p in enumerate(weights)}


def step(weights, optimizer):
    for weight in weights:
        weight.grad = torch.sin(7 * weight.detach())
    optimizer.step()


def test_optimizer_state_restores_the_trajectory_bit_for_bit():
    straight, first, names = small_optimizer()
    step(straight, first)
    saved = {key: value.clone() for key, value in optimizer_tensors(first, names).items()}
    again, second, second_names = small_optimizer()
    for old, new in zip(straight, again, strict=True):
        new.data.copy_(old.data)
    restore_optimizer(second, second_names, saved)
    step(straight, first)
    step(again, second)
    assert all(torch.equal(old, new) for old, new in zip(straight, again, strict=True))
    assert second.param_groups[0]["lr"] == 0.1
    with pytest.raises(ValueError, match="'other'"):
        restore_optimizer(second, second_names, {"other/step": torch.ones(())})


def test_a_signal_asks_once_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as request:
        assert not request
        os.kill(os.getpid(), signal.SIGTERM)
        assert request
        assert request.signal_name == "SIGTERM"
        assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_never_touch_the_handlers():
    seen = []

    def work():
        with stop_on_signals() as request:
            seen.append(bool(request))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_non_finite_tensors_and_pairs_are_named(tmp_path):
    tensors = [("good", torch.ones(2)), ("none", None), ("bad", torch.tensor([1.0, float("nan")]))]
    assert non_finite_names(tensors) == ["bad"]
    batch = {"pair": ["p7", "p9"], "loss": [0.5, float("nan")]}
    error = stop_for_non_finite(tmp_path, 12, 0, ["gradient of head.weight"], batch)
    assert "step 12: gradient of head.weight" in str(error)
    assert "in the pairs p9;" in str(error)
    report = json.loads((tmp_path / "non_finite-0.json").read_text())
    assert report["batch"] == {"pair": ["p7", "p9"], "loss": [0.5, "nan"]}
