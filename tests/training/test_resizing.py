"""Runs over pictures of several sizes, by budgets of tokens, and runs that go on with batches of another size."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from dina_lrm.data.batches import BatchPlan
from dina_lrm.data.position import BatchPosition
from dina_lrm.data.tokens import pair_tokens
from dina_lrm.runs.metrics import read_lines
from dina_lrm.training.batching import StepSource
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from dina_lrm.typed import from_plain
from tests.training.tiny_runs import sized_comparisons, tiny_config


def run(config, folder, **options):
    return train(TrainingPlan(config, sized_comparisons(), folder, quiet=True, **options))


def weights(folder):
    return load_file(folder / "model" / "head.safetensors")


def stored(folder, step):
    return json.loads((folder / "checkpoints" / f"step-{step}" / "state.json").read_text())["values"]["batches"]


@pytest.mark.slow
def test_a_run_over_several_sizes_resumes_bit_identically_by_pairs_and_by_tokens(tiny_folder, tmp_path):
    for name, budget in (("pairs", None), ("tokens", 120)):
        config = tiny_config(tiny_folder, batch_tokens=budget, steps=4)
        run(config, tmp_path / name)
        run(replace(config, steps=2), tmp_path / f"{name}-stopped")
        run(config, tmp_path / f"{name}-stopped", resume=True)
        straight, resumed = weights(tmp_path / name), weights(tmp_path / f"{name}-stopped")
        assert all(torch.equal(straight[key], resumed[key]) for key in straight)
        position = from_plain(BatchPosition, stored(tmp_path / name, 4))
        assert (position.unit, position.sizes) == (name, ((0, budget or 4),))
        data, costs = sized_comparisons(), None if budget is None else pair_tokens(sized_comparisons(), 2)
        plan = BatchPlan(data.buckets, budget or 4, config.seed, data.pairs.prompt, costs=costs)
        assert position.pairs_seen == sum(len(plan.batch(step)) for step in range(4))


def test_micro_batches_of_tokens_change_rounding_alone(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder, steps=2, batch_size=8)
    run(config, tmp_path / "whole")
    run(replace(config, compute=replace(config.compute, micro_tokens=60)), tmp_path / "cut")
    whole, cut = (list(read_lines(tmp_path / name / "metrics.jsonl")) for name in ("whole", "cut"))
    for one, other in zip(whole, cut, strict=True):
        for name in ("loss", "gradient_norm"):
            assert other.get(name) == pytest.approx(one.get(name), rel=1e-3)


@pytest.fixture
def read(monkeypatch):
    """The pairs of each step that was built."""
    found, build = {}, StepSource.__call__

    def watched(source, step):
        inputs = build(source, step)
        found[step] = [name for micro in inputs.micro_batches for name in micro.pair_names]
        return inputs

    monkeypatch.setattr(StepSource, "__call__", watched)
    return found


@pytest.mark.slow
def test_another_size_of_batches_finishes_the_epoch_and_is_remembered(tiny_folder, tmp_path, capsys, read):
    config, folder = tiny_config(tiny_folder, steps=None, epochs=2.0), tmp_path / "run"
    data = sized_comparisons()
    expected = BatchPlan(data.buckets, 4, config.seed, data.pairs.prompt).resized(3, 6)
    run(replace(config, steps=3), folder)
    found = train(TrainingPlan(config, data, folder, resume=True, resume_batch=6))
    assert "batches of at most 6 pairs from step 3 on" in capsys.readouterr().err
    assert found.total_steps == expected.first_step(2)
    assert [len(read[step]) for step in range(found.total_steps)] == [
        len(expected.batch(step)) for step in range(found.total_steps)
    ]
    first = [name for step in range(expected.first_step(1)) for name in read[step]]
    assert sorted(first) == sorted(data.pairs.pair_id)
    before = dict(read)
    # Stopped again and resumed without saying the size
    again = tmp_path / "again"
    run(replace(config, steps=3), again)
    run(replace(config, steps=5), again, resume=True, resume_batch=6)
    assert stored(again, 5)["sizes"] == [[0, 4], [3, 6]]
    run(config, again, resume=True)
    assert read == before
    straight, resumed = weights(folder), weights(again)
    assert all(torch.equal(straight[key], resumed[key]) for key in straight)


def test_another_global_batch_or_other_data_are_refused_with_both_values(tiny_folder, tmp_path):
    config, folder = tiny_config(tiny_folder, steps=2), tmp_path / "run"
    run(config, folder)
    for changes, message in (
        ({"batch_size": 6}, "started with batches of 4 pairs; given: batches of 6 pairs.*--resume-batch N"),
        ({"batch_tokens": 200}, "started with batches of 4 pairs; given: batches of 200 tokens"),
        ({"seed": 5}, r"other settings: seed 0 \(given: 5\)"),
    ):
        with pytest.raises(ValueError, match=message):
            run(replace(config, steps=4, **changes), folder, resume=True)
    with pytest.raises(ValueError, match="started on other data"):
        other = sized_comparisons(seed=1)
        train(TrainingPlan(replace(config, steps=4), other, folder, resume=True, quiet=True))


def test_a_checkpoint_of_other_batches_is_refused_whatever_the_config_of_its_folder_says(tiny_folder, tmp_path):
    """As where somebody puts a checkpoint of one run into another."""
    config = tiny_config(tiny_folder, steps=2)
    run(config, tmp_path / "four")
    run(replace(config, batch_size=6), tmp_path / "six")
    (tmp_path / "six" / "checkpoints").rename(tmp_path / "aside")
    (tmp_path / "four" / "checkpoints").rename(tmp_path / "six" / "checkpoints")
    with pytest.raises(ValueError, match=r"step-2: stopped at step 2 with batches of 4 pairs; given: .* 6 pairs"):
        run(replace(config, batch_size=6, steps=4), tmp_path / "six", resume=True)


def test_a_budget_below_the_largest_pair_is_refused_before_the_work(tiny_folder, tmp_path):
    most = int(pair_tokens(sized_comparisons(), 2).max())
    with pytest.raises(ValueError, match=f"accepted: at least {most} a batch"):
        run(tiny_config(tiny_folder, batch_tokens=most - 1), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()
