import dataclasses
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.metrics import read_lines
from dina_lrm.training.assemble import reward_model_config
from dina_lrm.training.config import (
    AdaptationSettings,
    ComputeSettings,
    EmaSettings,
    HeterogeneousSettings,
    LogSettings,
    OptimizerSettings,
    TrainConfig,
)
from dina_lrm.training.faults import NonFiniteError
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.training.killed_run import ADAPTATION, STEPS
from tests.training.tiny_runs import on_line, tiny_comparisons, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


def final_weights(folder):
    """All tensors of the newest checkpoint, by file and name."""
    newest = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    return {
        f"{file.stem}/{n}": t.clone()
        for file in sorted(newest.glob("*.safetensors"))
        for n, t in load_file(file).items()
    }


def assert_same_tensors(one, other):
    assert one.keys() == other.keys()
    different = [name for name, tensor in one.items() if not torch.equal(tensor, other[name])]
    assert not different


@pytest.fixture(scope="module")
def straight(tiny_folder, tmp_path_factory):
    """A finished run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    return train(TrainingPlan(tiny_config(tiny_folder), tiny_comparisons(), folder, quiet=True))


def test_the_run_folder_is_the_contract(straight):
    names = {path.name for path in straight.folder.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "checkpoints", "model"}
    record = json.loads((straight.folder / "config.json").read_text())
    assert TrainConfig.from_dict(record["train"]).steps == 6
    assert record["data"]["pairs"] == 9
    lines = read_lines(straight.folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "accuracy", "margin", "gradient_norm", "pairs_per_second", "learning_rate"} < set(lines[0])
    checkpoints = sorted(path.name for path in (straight.folder / "checkpoints").iterdir())
    assert checkpoints == ["step-2", "step-4", "step-6"]


def test_the_stored_model_scores_as_the_one_in_memory(straight):
    data = tiny_comparisons()
    batch = data.batch(torch.arange(4))
    loaded = LatentRewardModel.from_pretrained(straight.model_folder, dtype=torch.float32)
    here, there = (m.score_latents(batch.latents, batch.conditioning) for m in (straight.model, loaded))
    torch.testing.assert_close(here, there, atol=1e-6, rtol=1e-6)
    assert loaded.config.score_mean == pytest.approx(straight.validation.score_mean)
    assert loaded.config.notes["training"]["steps"] == 6


def test_score_statistics_are_those_of_plain_scoring(straight):
    data = tiny_comparisons()
    batch = data.batch(torch.arange(len(data)))
    images = straight.model.score_latents(batch.latents, batch.conditioning).double()
    scores = torch.cat([images[batch.first], images[batch.second]])
    config = straight.model.config
    assert (scores.mean().item(), scores.std().item()) == pytest.approx((config.score_mean, config.score_std), rel=1e-4)
    assert straight.model.normalize(scores).mean().item() == pytest.approx(0, abs=1e-3)


def test_the_exported_weights_are_the_average(straight):
    checkpoint = straight.folder / "checkpoints" / "step-6"
    average, live = load_file(checkpoint / "ema.safetensors"), load_file(checkpoint / "weights.safetensors")
    head = load_file(straight.model_folder / "head.safetensors")
    name = "agg_visual.weight"
    assert torch.equal(head[name], average[f"head.{name}"])
    assert not torch.equal(head[name], live[f"head.{name}"])


def test_it_overfits_a_few_pairs(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder, steps=50, batch_size=9, optimizer=OptimizerSettings(lr=1e-2, clip_norm=None))
    config = dataclasses.replace(config, log=LogSettings(log_every=1, checkpoint_every=0, trackers=()))
    result = train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", quiet=True))
    lines = read_lines(tmp_path / "run" / "metrics.jsonl")
    late = sum(line["loss"] for line in lines[-10:]) / 10
    assert late < 0.15 < lines[0]["loss"]
    assert result.validation.accuracy == 1.0


def test_sigterm_saves_and_a_resumed_run_is_bit_identical(tiny_folder, tmp_path):
    folder, config = tmp_path / "run", tiny_config(tiny_folder)
    config = dataclasses.replace(config, steps=20)
    watcher = on_line(folder, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    stopped = train(TrainingPlan(config, tiny_comparisons(), folder, quiet=True))
    watcher.join()
    assert stopped.stopped == "SIGTERM"
    assert 3 <= stopped.steps < 20
    assert stopped.model_folder is None
    assert (folder / "checkpoints" / f"step-{stopped.steps}").is_dir()
    resumed = train(TrainingPlan(config, tiny_comparisons(), folder, resume=True, quiet=True))
    whole = train(TrainingPlan(config, tiny_comparisons(), tmp_path / "whole", quiet=True))
    assert resumed.stopped is None
    assert_same_tensors(final_weights(folder), final_weights(whole.folder))
    assert [line["step"] for line in read_lines(folder / "metrics.jsonl")] == list(range(1, 21))
    losses = [[line["loss"] for line in read_lines(path / "metrics.jsonl")] for path in (folder, whole.folder)]
    assert losses[0] == losses[1]


def test_a_run_killed_outright_resumes_bit_identically(tiny_folder, tmp_path, warm_programs):
    folder, root = tmp_path / "run", Path(__file__).parents[2]
    command = ["-m", "tests.training.killed_run", str(tiny_folder), str(folder), str(torch.get_num_threads())]
    done = subprocess.run([warm_programs / "python", *command], cwd=root, check=False, capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    config = tiny_config(tiny_folder, steps=STEPS, adaptation=ADAPTATION)
    assert train(TrainingPlan(config, tiny_comparisons(), folder, resume=True, quiet=True)).steps == STEPS
    whole = train(TrainingPlan(config, tiny_comparisons(), tmp_path / "whole", quiet=True))
    assert_same_tensors(final_weights(folder), final_weights(whole.folder))


def test_resume_takes_the_newest_complete_checkpoint(tiny_folder, tmp_path, straight):
    folder, config = tmp_path / "run", tiny_config(tiny_folder)
    train(TrainingPlan(config, tiny_comparisons(), folder, quiet=True))
    expected = final_weights(folder)
    cut = folder / "checkpoints" / "step-6" / "weights.safetensors"
    cut.write_bytes(cut.read_bytes()[:-10])
    train(TrainingPlan(config, tiny_comparisons(), folder, resume=True, quiet=True))
    assert_same_tensors(final_weights(folder), expected)


def test_a_run_may_be_extended_but_not_changed(tiny_folder, tmp_path):
    folder, config = tmp_path / "run", tiny_config(tiny_folder, steps=2)
    train(TrainingPlan(config, tiny_comparisons(), folder, quiet=True))
    with pytest.raises(FileExistsError, match="holds a run already"):
        train(TrainingPlan(config, tiny_comparisons(), folder, quiet=True))
    with pytest.raises(ValueError, match=r"other settings: optimizer\.lr"):
        train(
            TrainingPlan(
                tiny_config(tiny_folder, optimizer=OptimizerSettings(lr=1.0)), tiny_comparisons(), folder, resume=True
            )
        )
    with pytest.raises(ValueError, match="started on other data"):
        train(TrainingPlan(config, tiny_comparisons(seed=5), folder, resume=True, quiet=True))
    assert (
        train(
            TrainingPlan(tiny_config(tiny_folder, steps=3), tiny_comparisons(), folder, resume=True, quiet=True)
        ).steps
        == 3
    )


def test_a_model_that_somebody_changed_is_refused_before_the_work(tiny_folder, tmp_path):
    folder = tmp_path / "run"
    train(TrainingPlan(tiny_config(tiny_folder, steps=1), tiny_comparisons(), folder, quiet=True))
    (folder / "model" / "notes.txt").write_text("mine")
    before = (folder / "metrics.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match=r"holds 'notes\.txt', which this program did not make"):
        train(TrainingPlan(tiny_config(tiny_folder, steps=2), tiny_comparisons(), folder, resume=True, quiet=True))
    assert (folder / "metrics.jsonl").read_bytes() == before
    assert (folder / "model" / "notes.txt").read_text() == "mine"


def first_lora_b(folder):
    weights = final_weights(folder)
    return next(tensor for name, tensor in weights.items() if name.startswith("weights/") and "lora_B" in name)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_accumulation_is_a_bigger_batch(weight, tiny_folder, tmp_path):
    # A large epsilon: Adam turns the rounding of gradients near zero into whole steps otherwise
    config = tiny_config(tiny_folder, optimizer=OptimizerSettings(lr=1e-2, eps=1e-2))
    objective = dataclasses.replace(config.objective, heterogeneous=HeterogeneousSettings(weight))
    config = dataclasses.replace(config, objective=objective)
    train(TrainingPlan(config, tiny_comparisons(), tmp_path / "whole", quiet=True))
    compute = ComputeSettings(precision="fp32", accumulation=3)
    train(TrainingPlan(dataclasses.replace(config, compute=compute), tiny_comparisons(), tmp_path / "cut", quiet=True))
    one, other = final_weights(tmp_path / "whole"), final_weights(tmp_path / "cut")
    for name, tensor in one.items():
        if name.startswith("weights/"):
            torch.testing.assert_close(other[name], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("option", ["gradient_checkpointing", "bf16"])
def test_other_ways_to_compute_stay_close(option, tiny_folder, tmp_path, straight):
    compute = {
        "gradient_checkpointing": ComputeSettings(precision="fp32", gradient_checkpointing=True),
        "bf16": ComputeSettings(precision="bf16"),
    }[option]
    train(TrainingPlan(tiny_config(tiny_folder, compute=compute), tiny_comparisons(), tmp_path / "run", quiet=True))
    losses = [[line["loss"] for line in read_lines(f / "metrics.jsonl")] for f in (straight.folder, tmp_path / "run")]
    tolerance = 1e-3 if option == "gradient_checkpointing" else 0.05
    assert losses[0] == pytest.approx(losses[1], abs=tolerance)


def test_frozen_trains_the_head_alone(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder, adaptation=AdaptationSettings(kind="frozen"))
    fresh = LatentRewardModel.build(reward_model_config(config), dtype=torch.float32)
    result = train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", quiet=True))
    trained = {name for name in final_weights(tmp_path / "run") if name.startswith("weights/")}
    assert {name.split("/")[1].split(".")[0] for name in trained} == {"head"}
    assert_same_tensors(fresh.backbone.state_dict(), result.model.backbone.state_dict())
    assert not (result.model_folder / "reward_lora").exists()


@pytest.mark.parametrize("kind", ["lora", "frozen"])
def test_a_random_backbone_differs_and_is_stored_with_the_model(kind, tiny_folder, tmp_path):
    adaptation = AdaptationSettings(kind, LoraSettings(rank=2, alpha=4.0), random_backbone=True)
    config = tiny_config(tiny_folder, adaptation=adaptation)
    result = train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", quiet=True))
    pretrained = LatentRewardModel.build(reward_model_config(tiny_config(tiny_folder)), dtype=torch.float32)
    batch = tiny_comparisons().batch(torch.arange(4))
    features = [
        m.backbone.features(batch.latents, torch.full((len(batch.latents),), 0.4), batch.conditioning)
        for m in (result.model, pretrained)
    ]
    assert not torch.allclose(features[0].visual[0], features[1].visual[0], atol=0.05)
    loaded = LatentRewardModel.from_pretrained(result.model_folder, dtype=torch.float32)
    here, there = (m.score_latents(batch.latents, batch.conditioning) for m in (result.model, loaded))
    torch.testing.assert_close(here, there)


def test_full_adaptation_trains_and_stores_every_weight(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder, adaptation=AdaptationSettings(kind="full"), optimizer=OptimizerSettings(lr=1e-3))
    result = train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", quiet=True))
    batch = tiny_comparisons().batch(torch.arange(4))
    loaded = LatentRewardModel.from_pretrained(result.model_folder, dtype=torch.float32)
    here, there = (m.score_latents(batch.latents, batch.conditioning) for m in (result.model, loaded))
    torch.testing.assert_close(here, there)
    assert loaded.config.own_backbone


def test_without_average_the_live_weights_are_exported(tiny_folder, tmp_path):
    result = train(
        TrainingPlan(
            tiny_config(tiny_folder, ema=EmaSettings(enabled=False)), tiny_comparisons(), tmp_path / "run", quiet=True
        )
    )
    weights = final_weights(tmp_path / "run")
    head = load_file(result.model_folder / "head.safetensors")
    assert torch.equal(head["query_tokens"], weights["weights/head.query_tokens"])
    assert not any(name.startswith("ema/") for name in weights)


def test_validation_is_logged_with_the_average_and_leaves_training_alone(tiny_folder, tmp_path, straight):
    log = LogSettings(log_every=1, checkpoint_every=2, evaluate_every=2, trackers=())
    validation = tiny_comparisons(seed=9, ties=2)
    config = tiny_config(tiny_folder, log=log)
    result = train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", validation=validation, quiet=True))
    lines = [line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if "validation_loss" in line]
    assert [line["step"] for line in lines] == [2, 4]
    assert result.validation.pairs == 9
    assert result.validation.ties == 2
    assert_same_tensors(final_weights(tmp_path / "run"), final_weights(straight.folder))


def test_a_nan_stops_the_run_and_names_tensor_and_pair(tiny_folder, tmp_path):
    data = tiny_comparisons()
    table = data.latents[0].rows(torch.arange(9))["latents"].clone()
    table[4] = 1e38  # overflows; the middle image of prompt 1: pairs 3 (3, 4) and 5 (4, 5)
    broken = EncodedComparisons.from_tensors(
        table,
        data.conditioning_of(torch.arange(3)),
        data.pairs.image_a,
        data.pairs.image_b,
        data.pairs.prompt,
        data.preference,
        pair_id=list(data.pairs.pair_id),
    )
    config = tiny_config(tiny_folder, batch_size=9)
    with pytest.raises(NonFiniteError, match=r"step 1: scores is not finite .* pairs pair-3, pair-5;") as error:
        train(TrainingPlan(config, broken, tmp_path / "run", quiet=True))
    report = json.loads((tmp_path / "run" / "non_finite-0.json").read_text())
    assert report["tensors"][:2] == ["scores", "pair_loss"]
    assert sorted(report["batch"]["pair"]) == sorted(data.pairs.pair_id)
    assert "not applied" in str(error.value)


def test_the_global_generators_come_out_as_they_went_in(tiny_folder, tmp_path):
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    train(TrainingPlan(tiny_config(tiny_folder, steps=1), tiny_comparisons(), tmp_path / "run", quiet=True))
    assert torch.equal(before, torch.random.get_rng_state())


def test_tensorboard_is_written(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder, steps=1, log=LogSettings(log_every=1, checkpoint_every=0))
    train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", quiet=True))
    assert list((tmp_path / "run" / "tensorboard").rglob("events.*"))


def test_a_missing_tracker_is_named_before_anything_runs(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder, log=LogSettings(trackers=("trackio",)))
    with pytest.raises(ValueError, match="'trackio' is not installed"):
        train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", quiet=True))


def test_a_run_whose_config_was_cut_off_goes_on_by_the_record_in_its_checkpoint(tiny_folder, tmp_path):
    folder, config = tmp_path / "run", tiny_config(tiny_folder, steps=2)
    train(TrainingPlan(config, tiny_comparisons(), folder, quiet=True))
    whole = (folder / "config.json").read_bytes()
    for cut in (b"", whole[: len(whole) // 2]):
        (folder / "config.json").write_bytes(cut)
        with pytest.raises(ValueError, match="started on other data"):
            train(TrainingPlan(config, tiny_comparisons(seed=5), folder, resume=True, quiet=True))
        assert (folder / "config.json").read_bytes() == cut
        train(TrainingPlan(config, tiny_comparisons(), folder, resume=True, quiet=True))
        assert (folder / "config.json").read_bytes() == whole
    (folder / "config.json").write_bytes(b"")
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(ValueError, match=r"config.json: not a JSON value"):
        train(TrainingPlan(config, tiny_comparisons(), folder, resume=True, quiet=True))


def with_image(data, row, value):
    """The same comparisons; one image of the table has other latents."""
    table = data.latents[0].rows(torch.arange(data.images))["latents"].clone()
    table[row] = value
    pairs = data.pairs
    columns = (pairs.image_a, pairs.image_b, pairs.prompt, data.preference)
    return EncodedComparisons.from_tensors(
        table, data.conditioning_of(torch.arange(3)), *columns, prompts=data.prompts, pair_id=list(pairs.pair_id)
    )


def test_with_one_prompt_whole_pictures_are_held_out_and_it_is_said(tiny_folder, tmp_path, capsys):
    config = tiny_config(tiny_folder, validation_fraction=0.2, steps=2)
    data = tiny_comparisons(prompts=1, images=10)
    result = train(TrainingPlan(config, data, tmp_path / "run"))
    assert result.measured_on == "validation" and result.validation.pairs == 9
    assert result.held_out == (
        "held out: 9 of 45 pairs, those with a picture that no other pair shows, as there is one prompt"
    )
    assert result.held_out in capsys.readouterr().err and result.to_dict()["held_out"] == result.held_out


def test_a_validation_set_that_cannot_be_read_is_found_before_the_training(tiny_folder, tmp_path, capsys):
    config = tiny_config(tiny_folder, steps=2)
    tiny_comparisons(seed=9).save(tmp_path / "cache", backbone=reward_model_config(config).backbone)
    shard = next((tmp_path / "cache").glob("latents/*/*"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x7f")
    damaged = EncodedComparisons.load(tmp_path / "cache")
    result = train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", validation=damaged))
    # Rows have hashes of their own: what is not damaged of a shard is measured
    assert result.measured_on == "validation" and result.validation.pairs == 7 and result.model_folder.is_dir()
    assert len(result.left_out) == 2
    assert "2 comparisons cannot be read and are left out: pair-7" in " ".join(capsys.readouterr().err.split())


def test_a_model_is_written_whatever_could_be_measured_of_it(tiny_folder, tmp_path):
    """Latents so large that scores overflow: no pair has a finite one."""
    config = tiny_config(tiny_folder, steps=2)
    huge = with_image(tiny_comparisons(seed=9), slice(None), 1e38)
    result = train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", validation=huge, quiet=True))
    assert result.validation.pairs == 0 and result.validation.missing == 9
    stored = LatentRewardModel.from_pretrained(result.model_folder).config
    assert (stored.score_mean, stored.score_std) == (0.0, 1.0)
    assert "accuracy" not in stored.notes["training"]["measured"]


def test_the_best_checkpoint_stays_beside_the_newest(tiny_folder, tmp_path):
    log = LogSettings(log_every=1, checkpoint_every=0, keep_last=1, keep_best=1, best_by="loss", evaluate_every=1)
    config = tiny_config(tiny_folder, log=dataclasses.replace(log, trackers=()))
    held = tiny_comparisons(prompts=2, seed=7)
    train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", validation=held, quiet=True))
    lines = read_lines(tmp_path / "run" / "metrics.jsonl")
    measured = {line["step"]: line["validation_loss"] for line in lines if "validation_loss" in line}
    best = min(measured, key=measured.get)
    kept = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert set(measured) == {1, 2, 3, 4, 5} and kept == {f"step-{best}", "step-6"}


def test_the_best_by_nothing_is_refused(tiny_folder, tmp_path):
    with pytest.raises(ValueError, match=r"log\.keep_best"):
        LogSettings(keep_best=1)
    config = tiny_config(tiny_folder, log=LogSettings(keep_best=1, evaluate_every=1, trackers=()))
    with pytest.raises(ValueError, match="nothing is held out to measure by"):
        train(TrainingPlan(config, tiny_comparisons(), tmp_path / "run", quiet=True))


def test_of_a_few_kilobytes_there_is_nothing_to_say(tiny_folder, tmp_path, capsys):
    folder, config = tmp_path / "run", tiny_config(tiny_folder, steps=2, adaptation=ADAPTATION)
    train(TrainingPlan(config, tiny_comparisons(), folder))
    assert "a checkpoint takes" not in capsys.readouterr().err
