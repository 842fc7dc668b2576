import dataclasses
import json
import random

import pytest
import torch

from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.processes import Processes
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.spike_settings import SpikeSettings
from dina_lrm.training.spikes import SpikeError, SpikeGuard, forget_later_spikes, spike_file, write_spike
from dina_lrm.training.trainer import Trainer, train
from tests.training.tiny_runs import tiny_comparisons, tiny_config


def values(loss, norm=1.0):
    return {"loss": loss, "gradient_norm": norm}


def after(steps, seed=0):
    draw, guard = random.Random(seed), SpikeGuard(SpikeSettings())
    found = [guard.judge(step, values(draw.gauss(0.5, 0.05), draw.gauss(1, 0.1))) for step in range(1, steps + 1)]
    return guard, [spike for spike in found if spike is not None]


def test_an_ordinary_run_has_no_spikes():
    for seed in range(4):
        assert after(500, seed=seed)[1] == []


def test_what_stands_out_is_named_by_the_measure_that_does_most():
    guard, _ = after(60)
    found = guard.judge(61, values(2.0, 2.0))
    assert (found.step, found.measure, found.value) == (61, "loss", 2.0) and found.z > 20
    assert guard.judge(62, values(0.5, 9.0)).measure == "gradient_norm"
    assert guard.judge(63, values(0.0, 0.0)) is None  # below is no spike


def test_a_lasting_change_is_soon_no_spike():
    guard, _ = after(100)
    spikes = [guard.judge(100 + n, values(3.0)) is not None for n in range(1, 101)]
    assert spikes[0] and not spikes[-1] and 45 <= sum(spikes) <= 60


def test_nothing_is_judged_before_a_fifth_of_the_window():
    guard = SpikeGuard(SpikeSettings(window=50))
    assert [guard.judge(n, values(0.5)) for n in range(1, 10)] == [None] * 9
    assert guard.judge(10, values(50.0)) is None and guard.judge(11, values(50.0)) is not None


def test_steps_that_are_equal_make_no_spike_of_rounding():
    guard = SpikeGuard(SpikeSettings())
    assert all(guard.judge(n, values(0.5 + 1e-7 * (n % 2))) is None for n in range(100))


def test_restored_it_judges_as_one_that_never_stopped():
    guard, _ = after(37)
    other = SpikeGuard(SpikeSettings())
    other.restore(json.loads(json.dumps(guard.state())))
    assert other.state() == guard.state()
    assert other.judge(38, values(1.4)) == guard.judge(38, values(1.4)) is not None
    other.restore(None)  # a checkpoint of an earlier version
    with pytest.raises(ValueError, match=r"values\.spikes"):
        other.restore({"loss": [1.0]})


def test_spikes_after_the_resumed_step_are_dropped(tmp_path):
    guard, _ = after(60)
    for step in (61, 62):
        write_spike(tmp_path, 0, guard.judge(step, values(9.0)), {"pair": ["a"], "loss": [9.0]})
    forget_later_spikes(tmp_path, 0, 61)
    (line,) = spike_file(tmp_path, 0).read_text().splitlines()
    assert json.loads(line)["step"] == 61 and json.loads(line)["batch"] == {"pair": ["a"], "loss": [9.0]}


def trainer_at_a_spike(folder, place, action):
    config = tiny_config(folder, spikes=SpikeSettings(action, threshold=10.0, window=5))
    trainer = Trainer(TrainingPlan(config, tiny_comparisons(), place, quiet=True), Processes())
    place.mkdir()
    for step in range(1, 6):
        trainer.stepper.guard.judge(step, values(1e-3, 1e-3))  # so that whatever comes stands out
    return trainer


@pytest.mark.parametrize("action", ["warn", "skip"])
def test_a_step_is_passed_over_only_where_asked(tiny_folder, tmp_path, action):
    trainer = trainer_at_a_spike(tiny_folder, tmp_path / "run", action)
    before = [parameter.detach().clone() for parameter in trainer.stepper.parameters.values()]
    inputs = trainer.source(5)
    outcome = trainer.stepper(inputs)
    changed = any(not torch.equal(a, b) for a, b in zip(before, trainer.stepper.parameters.values(), strict=True))
    assert outcome.spike.step == 6 and changed == (action == "warn")
    (line,) = spike_file(tmp_path / "run", 0).read_text().splitlines()
    assert json.loads(line)["batch"]["pair"] == list(inputs.micro_batches[0].pair_names)


def test_a_spike_may_end_the_run(tiny_folder, tmp_path):
    trainer = trainer_at_a_spike(tiny_folder, tmp_path / "run", "stop")
    with pytest.raises(SpikeError, match=r"step 6: .* in the pairs pair-"):
        trainer.stepper(trainer.source(5))


def test_what_was_seen_is_part_of_a_checkpoint(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder)
    train(TrainingPlan(dataclasses.replace(config, steps=4), tiny_comparisons(), tmp_path / "run", quiet=True))
    kept = read_json_object(tmp_path / "run" / "checkpoints" / "step-4" / "state.json")["values"]["spikes"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert kept["gradient_norm"] == [line["gradient_norm"] for line in lines[:4]]
    assert {"tokens_per_second", "mfu", "data_wait", "memory_bytes", "seconds_left"} < set(lines[0])
    assert all(0 <= line["data_wait"] <= 1 and line["mfu"] > 0 and line["seconds_left"] >= 0 for line in lines[:4])
