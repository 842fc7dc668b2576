"""`train` on the tiny pipeline: a cache, a comparison file, settings as options, what it refuses."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from dina_lrm.cli.main import main
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.repacking import repack_cache
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import write_comparisons
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.lock import one_writer
from dina_lrm.runs.metrics import read_lines
from dina_lrm.training import holding_out
from dina_lrm.training.assemble import reward_model_config
from dina_lrm.training.config import TrainConfig
from tests.data.file_server import file_server
from tests.training.tiny_runs import tiny_comparisons, tiny_config


def run(*words: object) -> int:
    return main(["train", *map(str, words)])


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> list[str]:
    """Options that make the `synthetic` recipe tiny."""
    return (
        f"--model.pretrained {tiny_folder} --model.depth 2 --model.visual-taps 1 2 --model.text-taps 1 2 "
        "--model.head.width 16 --model.head.attention-heads 2 --model.head.queries 2 --adaptation.rank 2 "
        "--steps 3 --batch-size 4 --compute.precision fp32 --log.log-every 1 --log.trackers"
    ).split()


@pytest.fixture(scope="module")
def cache(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "cache"
    tiny_comparisons().save(folder, backbone=reward_model_config(tiny_config(tiny_folder)).backbone)
    return folder


def test_a_cache_in_a_model_out(tiny, cache, tmp_path):
    words = ["synthetic", "--data", cache, "--out", tmp_path / "run", "--optimizer.lr", "2e-3", *tiny, "--quiet"]
    assert run(*words, "--json", tmp_path / "result.json") == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["recipe"], result["steps"], result["pairs"], result["stopped"]) == ("synthetic", 3, 9, None)
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert TrainConfig.from_dict(stored["train"]).optimizer.lr == 2e-3
    assert LatentRewardModel.from_pretrained(result["model"]).config.notes["training"]["recipe"] == "synthetic"


def test_a_run_in_the_way_is_refused_and_resumed_when_asked(tiny, cache, tmp_path, capsys):
    words = ["synthetic", "--data", cache, "--out", tmp_path / "run", *tiny]
    assert run(*words) == 0
    assert run(*words) == 2
    assert "add --resume" in capsys.readouterr().err
    assert run(*words, "--resume", "--steps", 4) == 0
    assert (tmp_path / "run" / "checkpoints" / "step-4").is_dir()


def test_a_run_whose_data_stop_answering_is_taken_up_to_the_same_end(tiny, cache, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DINA_LRM_COPIES", str(tmp_path / "copies"))
    repack_cache(cache, tmp_path / "served" / "cache", 1)  # a row a shard
    largest = max(path.stat().st_size for path in (tmp_path / "served").rglob("*.safetensors"))
    monkeypatch.setenv("DINA_LRM_COPIES_GIB", str(1.01 * largest / 2**30))  # one shard, so that each is fetched again
    with file_server(tmp_path / "served") as server:
        address = server.url.replace("://", "://me:secret@") + "/cache"
        far, whole = (
            [
                "synthetic",
                "--data",
                address,
                "--out",
                tmp_path / name,
                *tiny,
                "--steps",
                9,
                "--log.checkpoint-every",
                1,
                "--quiet",
            ]
            for name in ("far", "whole")
        )
        assert run(*whole) == 0
        server.fail_after(server.asked.total() // 3, 403)
        capsys.readouterr()
        assert run(*far) != 0
        told = capsys.readouterr().err
        assert "safetensors: 403" in told
        steps = [path.name for path in (tmp_path / "far" / "checkpoints").iterdir()]
        assert steps and "step-9" not in steps
        server.faults.clear()
        assert run(*far, "--resume") == 0
    weights = [load_file(tmp_path / name / "model" / "head.safetensors") for name in ("whole", "far")]
    assert all(torch.equal(values, weights[1][name]) for name, values in weights[0].items())
    kept = [path for path in (tmp_path / "far").rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert not kept and "secret" not in told + capsys.readouterr().err


def test_a_run_goes_on_with_batches_of_another_size_when_that_is_asked_for(tiny, cache, tmp_path, capsys):
    words = ["synthetic", "--data", cache, "--out", tmp_path / "run", *tiny]
    assert run(*words, "--resume-batch", 6) == 2
    assert "--resume-batch 6: has no effect on a new run; accepted with --resume" in capsys.readouterr().err
    assert run(*words) == 0
    assert run(*words, "--resume", "--batch-size", 6) == 2
    assert "started with batches of 4 pairs; given: batches of 6 pairs" in " ".join(capsys.readouterr().err.split())
    assert run(*words, "--resume", "--steps", 4, "--resume-batch", 6) == 0
    assert "batches of at most 6 pairs from step 3 on" in capsys.readouterr().err


def test_a_comparison_file_is_encoded_once_beside_the_run(tiny, tmp_path):
    generator = torch.Generator().manual_seed(0)
    for n in range(4):
        pixels = torch.randint(0, 256, (32, 32, 3), generator=generator).to(torch.uint8).numpy()
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
    pairs = [(0, 1), (1, 2), (2, 3), (0, 3)]
    rows = [Comparison("a red cube", tmp_path / f"{a}.png", tmp_path / f"{b}.png", 1.0) for a, b in pairs]
    write_comparisons(tmp_path / "pairs.jsonl", rows)
    words = ["synthetic", "--data", tmp_path / "pairs.jsonl", "--out", tmp_path / "run", *tiny, "--quiet"]
    assert run(*words) == 0
    assert (tmp_path / "run" / "cache").is_dir()
    (tmp_path / "0.png").unlink()
    assert run(*words, "--resume", "--steps", 4) == 0


def test_a_dry_run_measures_and_leaves_nothing(tiny, cache, tmp_path):
    words = ["synthetic", "--data", cache, "--out", tmp_path / "run", "--dry-run", *tiny]
    assert run(*words, "--json", tmp_path / "result.json") == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["total_steps"] == 3
    assert result["estimated_seconds"] == pytest.approx(3 * result["seconds_per_step"])
    assert 0 < result["trained_parameters"] < result["parameters"]
    assert result["peak_memory_bytes"] > 0
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["synthetc"], "synthetic"),
        (["synthetic", "--steeps", "3"], "--steps"),
        (["synthetic", "--batch-size", "0"], "batch_size: got 0"),
        (["synthetic", "--ema.decay", "2"], "ema.decay: got 2.0"),
        (["synthetic", "--adaptation.kind", "lore"], "frozen"),
        (["synthetic", "--objective.noise-levels.sampler", "uniform:mu=0"], "unknown key 'mu'"),
    ],
)
def test_mistakes_are_bad_input_and_named(words, said, tiny, cache, tmp_path, capsys):
    options = [word for word in tiny if word != "--log.trackers"]
    recipe, mistake = words[0], words[1:]
    assert run(recipe, "--data", cache, "--out", tmp_path / "run", *options, *mistake) == 2
    shown = capsys.readouterr()
    assert said in " ".join((shown.err + shown.out).split())
    assert not (tmp_path / "run").exists()


def test_data_that_is_not_there_is_named(tiny, tmp_path, capsys):
    assert run("synthetic", "--data", tmp_path / "none.jsonl", "--out", tmp_path / "run", *tiny) == 2
    assert 'give a cache folder or its address, a file of comparisons or "synthetic"' in capsys.readouterr().err


def test_a_cache_of_another_generator_is_refused(tiny, cache, tmp_path, capsys, tiny_folder):
    other = [word if word != str(tiny_folder) else str(tmp_path) for word in tiny]
    assert run("synthetic", "--data", cache, "--out", tmp_path / "run", *other) == 2
    assert "backbone" in capsys.readouterr().err


def test_help_lists_every_setting_with_the_value_of_the_recipe(capsys):
    assert run("paper-sd35m", "--help") == 0
    shown = capsys.readouterr().out
    assert "--optimizer.lr" in shown
    assert "(default: 5e-05)" in shown
    assert "--ema.decay" in shown


def test_the_closing_accuracy_says_what_it_was_measured_on(tiny, cache, tmp_path, capsys):
    for name, more, said in (
        ("all", [], "on 9 training pairs, none held out"),
        ("held-out", ["--validation", cache], "on 9 held-out pairs"),
    ):
        words = ["synthetic", "--data", cache, "--out", tmp_path / name, *tiny, *more, "--json", tmp_path / "r.json"]
        assert run(*words) == 0
        assert said in " ".join(capsys.readouterr().out.split())
        result = json.loads((tmp_path / "r.json").read_text())
        assert result["measured_on"] == ("training" if name == "all" else "validation")
        assert result["resumed_from"] is None


def test_a_tenth_is_held_out_where_there_are_enough_pairs_and_a_resumed_run_keeps_to_it(
    tiny, cache, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(holding_out, "ENOUGH", 9)
    monkeypatch.setattr(holding_out, "_USUAL", 0.4)
    words = ["synthetic", "--data", cache, "--out", tmp_path / "run", *tiny, "--json", tmp_path / "r.json"]
    assert run(*words) == 0
    result, told = json.loads((tmp_path / "r.json").read_text()), " ".join(capsys.readouterr().out.split())
    assert result["measured_on"] == "validation" and 0 < result["validation"]["pairs"] < 9
    assert f"on {result['validation']['pairs']} held-out pairs, those of " in told
    assert f"next: dina-lrm rank PICTURES --model {tmp_path / 'run' / 'model'}" in told
    assert result["next"][0] in told and result["next"][1] in told
    monkeypatch.setattr(holding_out, "ENOUGH", 10)
    assert run(*words, "--resume", "--steps", 4) == 0
    assert json.loads((tmp_path / "r.json").read_text())["validation"]["pairs"] == result["validation"]["pairs"]
    none = [*words[:3], "--out", tmp_path / "all", *words[5:]]
    monkeypatch.setattr(holding_out, "ENOUGH", 9)
    assert run(*none, "--validation", "none") == 0
    assert "on 9 training pairs, none held out: it says little of others" in capsys.readouterr().out
    assert run(*none, "--validation", "none", "--validation-by", "image", "--resume") == 2
    assert "validation_by image: has no effect with --validation none" in capsys.readouterr().err


def test_a_folder_that_another_process_writes_to_is_refused_at_once(tiny, cache, tmp_path, capsys):
    words = ["synthetic", "--data", cache, "--out", tmp_path / "run", *tiny]
    (tmp_path / "run").mkdir()
    with one_writer(tmp_path / "run"):
        assert run(*words) == 2
        assert run(*words, "--resume") == 2
    assert capsys.readouterr().err.count("another process is writing there") == 2
    assert list((tmp_path / "run").iterdir()) == []


def saved(data, folder, tiny_folder):
    data.save(folder, backbone=reward_model_config(tiny_config(tiny_folder)).backbone)
    return folder


def weighted(weights):
    data = tiny_comparisons()
    pairs = dataclasses.replace(data.pairs, weight=torch.tensor(weights))
    return EncodedComparisons(
        data.latents, data.conditioning, data.prompts, data.truncated, pairs, data.missing, data.header
    )


def test_comparisons_of_weight_zero_are_as_if_they_were_not_there(tiny, tiny_folder, tmp_path, capsys):
    data = weighted([0.0] * 3 + [1.0] * 6)
    few = saved(data.subset(torch.arange(3, 9)), tmp_path / "few", tiny_folder)
    lines = []
    for name, cache in (("zeros", saved(data, tmp_path / "zeros", tiny_folder)), ("few", few)):
        assert run("synthetic", "--data", cache, "--out", tmp_path / f"run-{name}", *tiny, "--quiet") == 0
        lines.append([line["loss"] for line in read_lines(tmp_path / f"run-{name}" / "metrics.jsonl")])
    assert lines[0] == lines[1]
    none = saved(weighted([0.0] * 9), tmp_path / "none", tiny_folder)
    assert run("synthetic", "--data", none, "--out", tmp_path / "run", *tiny, "--quiet") == 2
    assert "training: every one of the 9 comparisons weighs 0" in capsys.readouterr().err


def test_synthetic_prompts_have_no_effect_on_a_cache(tiny, cache, tmp_path, capsys):
    words = ["synthetic", "--data", cache, "--out", tmp_path / "run", *tiny, "--synthetic-prompts", 5]
    assert run(*words) == 2
    assert "--synthetic-prompts: has no effect on --data" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_of_a_launch_on_cpus_make_one_run_of_a_comparison_file(tmp_path, warm_programs):
    votes = tmp_path / "votes"
    assert main(["synthetic", "generate", "--prompts", "2", "--images", "3", "--out", str(votes), "--quiet"]) == 0
    python = str(warm_programs / "python")
    launch = [python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "dina_lrm"]
    words = f"train synthetic --data {votes / 'comparisons.jsonl'} --out {tmp_path / 'run'} --steps 2 --batch-size 4"
    words += f" --log.trackers --log.log-every 1 --json {tmp_path / 'r.json'}"
    environment = {name: value for name, value in os.environ.items() if name != "ACCELERATE_USE_CPU"}
    environment["PYTHON_EXEC"] = python
    done = subprocess.run([*launch, *words.split()], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("the reward model is") == 1
    assert [line["step"] for line in read_lines(tmp_path / "run" / "metrics.jsonl")] == [1, 2]
