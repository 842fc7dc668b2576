"""The two training stages learn, stop and go on to the same weights, and leave a pipeline that loads."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dina_lrm.locate import BUNDLED_LORAS, locate_generator
from dina_lrm.rewards.names import load_reward
from dina_lrm.runs.checkpoints.stored import Checkpoint, load_checkpoint, save_checkpoint
from dina_lrm.runs.metrics import METRICS_FILE, read_lines
from dina_lrm.synthetic.comparisons import in_domain
from dina_lrm.synthetic.pretraining.config import (
    GeneratorConfig,
    PretrainConfig,
    UncuratedConfig,
    UnetConfig,
    VaeConfig,
)
from dina_lrm.synthetic.pretraining.judge import train_judge
from dina_lrm.synthetic.pretraining.loop import Interrupted, Schedule, Stage, batch_rows, learning_rate
from dina_lrm.synthetic.pretraining.noise_prediction import noise_prediction_loss
from dina_lrm.synthetic.pretraining.run import pretrain
from dina_lrm.synthetic.pretraining.uncurated import uncurate
from dina_lrm.synthetic.unet import build_unet_pipeline
from dina_lrm.synthetic.world import bundled_pipeline, sample_images

TINY = PretrainConfig(
    vae=VaeConfig(images=32, steps=4, batch_size=8, held_out=64),
    generator=GeneratorConfig(images=32, steps=4, batch_size=8, warmup=1),
    compile=False,
    checkpoint_seconds=0.0,
)


def test_batches_are_the_same_from_any_start() -> None:
    rows = batch_rows(20, 6, seed=1, start=0)
    whole = [next(rows) for _ in range(7)]
    later = batch_rows(20, 6, seed=1, start=4)
    for expected in whole[4:]:
        torch.testing.assert_close(next(later), expected)
    assert len(torch.cat(whole[:3]).unique()) == 18


def test_the_rate_rises_to_its_peak_and_falls_to_two_percent() -> None:
    assert learning_rate(0, 100, 1.0, warmup=10) == pytest.approx(0.1)
    assert learning_rate(10, 100, 1.0, warmup=10) == pytest.approx(1.0)
    assert learning_rate(100, 100, 1.0, warmup=10) == pytest.approx(0.02)


def test_the_unet_learns_beside_the_worlds_own_encoders() -> None:
    world = locate_generator("synthetic")
    pipeline = build_unet_pipeline(world, seed=0)
    assert pipeline.vae.config.shift_factor is None
    first = bundled_pipeline()
    for name, tensor in first.vae.state_dict().items():
        assert torch.equal(tensor, pipeline.vae.state_dict()[name]), name
    tokens = pipeline.tokenizer(["a red ring on white"], padding="max_length", return_tensors="pt").input_ids
    ours = pipeline.text_encoder(tokens, output_hidden_states=True).hidden_states[-1]
    theirs = first.text_encoder(tokens, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(ours, theirs)
    x_0 = torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    loss = noise_prediction_loss(pipeline, x_0, tokens.repeat(4, 1), torch.Generator().manual_seed(1))
    loss.backward()
    assert 0.5 < loss.item() < 2.0
    reached = [p.grad is not None and bool(p.grad.abs().max() > 0) for p in pipeline.text_encoder.parameters()]
    assert sum(reached) > len(reached) // 2


def a_stage(folder: Path, stop_at: int | None = None) -> dict[str, Tensor]:
    """The weights of a small stage, asked to stop in step `stop_at`."""
    module = nn.Linear(3, 1)
    rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.5)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    stage = Stage("stage", module, optimizer, Schedule(6, 2, 0.1, warmup=2, ema=0.9), folder)

    def report(_: str, step: int, *__: float) -> None:
        if step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    stage.run(8, 0, lambda chosen, step: module(rows[chosen]).square().mean(), 1e9, report)
    return module.state_dict()


@pytest.mark.parametrize("earlier", [False, True], ids=["now", "as earlier versions wrote it"])
def test_a_stage_that_is_asked_to_stop_saves_and_goes_on_to_the_same_weights(earlier: bool, tmp_path: Path) -> None:
    whole = a_stage(tmp_path / "whole")
    with pytest.raises(Interrupted, match=r"stage: stopped by SIGTERM after step 4 of 6; .* the same command goes on"):
        a_stage(tmp_path / "cut", stop_at=4)
    if earlier:
        state = load_checkpoint(tmp_path / "cut" / "step-4")
        tensors = {"average" if name == "ema" else name: group for name, group in state.tensors.items()}
        save_checkpoint(tmp_path / "cut", Checkpoint(4, tensors, {"stage": "stage"}))
    again = a_stage(tmp_path / "cut")
    assert [line["step"] for line in read_lines(tmp_path / "cut" / METRICS_FILE)] == [4, 6]
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())


FEW = (1, 2)
"""Samples that are drawn at the end."""


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.slow
def test_a_unet_run_that_was_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    config = replace(TINY, architecture="unet", unet=UnetConfig(images=32, steps=4, batch_size=8, warmup=1))
    folder = pretrain(config, tmp_path / "whole", lambda *_: None, grid=FEW)

    def die(stage: str, step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        pretrain(config, tmp_path / "cut", die)
    again = pretrain(config, tmp_path / "cut", lambda *_: None, grid=FEW)
    whole, cut = (bundled_pipeline(str(path)).unet.state_dict() for path in (folder, again))
    for name, tensor in whole.items():
        assert torch.equal(tensor, cut[name]), name
    assert "prediction of the noise" in (folder / "README.md").read_text()
    images = sample_images(bundled_pipeline(str(folder)), ["a red ring on white"] * 2, [1, 2], steps=2)
    assert images.shape == (2, 32, 32, 3)
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 10_000_000


@pytest.mark.slow
def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    losses: list[tuple[str, int, float]] = []
    folder = pretrain(
        TINY, tmp_path / "whole", lambda stage, step, _, loss: losses.append((stage, step, loss)), grid=FEW
    )
    assert [step for stage, step, _ in losses if stage == "generator"] == [1, 2, 3, 4]

    def die(stage: str, step: int, steps: int, loss: float) -> None:
        if (stage, step) == ("generator", 3):
            raise Killed

    with pytest.raises(Killed):
        pretrain(TINY, tmp_path / "cut", die)
    again = pretrain(TINY, tmp_path / "cut", lambda *_: None, grid=FEW)
    whole, cut = (bundled_pipeline(str(path)).transformer.state_dict() for path in (folder, again))
    for name, tensor in whole.items():
        assert torch.equal(tensor, cut[name]), name
    card = (folder / "README.md").read_text()
    assert "PSNR" in card and "dina-lrm synthetic pretrain" in card
    images = sample_images(bundled_pipeline(str(folder)), ["a red ring on white"] * 2, [1, 2], steps=2)
    assert images.shape == (2, 32, 32, 3)


def test_the_uncurated_lora_stops_and_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    config = UncuratedConfig(images=32, steps=4, batch_size=8, warmup=1, rank=2)
    whole = uncurate(config, 0, tmp_path / "whole", lambda *_: None, grid=FEW)

    def until_two(stage: str, step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        uncurate(config, 0, tmp_path / "again", until_two, every=0.0, grid=FEW)
    again = uncurate(config, 0, tmp_path / "again", lambda *_: None, every=0.0, grid=FEW)
    with pytest.raises(ValueError, match=r"config\.json: .* other settings: rank .*, seed .*; accepted"):
        uncurate(replace(config, rank=4), 1, tmp_path / "again", lambda *_: None, grid=FEW)
    first, second = (load_file(folder / "pytorch_lora_weights.safetensors") for folder in (whole, again))
    assert first.keys() == second.keys() and any("lora_B" in name and bool(first[name].any()) for name in first)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    facts = json.loads((whole / "facts.json").read_text())
    assert facts["samples"] == 2 and facts["samples_quality"] < 0
    assert "85% of the pictures" in (whole / "README.md").read_text()


def test_the_bundled_lora_makes_damaged_pictures() -> None:
    facts = {
        name: json.loads((folder / "facts.json").read_text())
        for name, folder in (
            ("clean", locate_generator("synthetic")),
            ("uncurated", BUNDLED_LORAS["synthetic-uncurated"][1]),
        )
    }
    assert facts["uncurated"]["samples_quality"] < facts["clean"]["samples_quality"] - 0.1


def test_a_judge_is_what_its_folder_says(tmp_path: Path) -> None:
    facts = train_judge(tmp_path / "judge", prompts=12, steps=4, seed=3, pairs=30, report=lambda *_: None)
    again = train_judge(tmp_path / "again", prompts=12, steps=4, seed=3, pairs=30, report=lambda *_: None)
    assert facts == again == json.loads((tmp_path / "judge" / "facts.json").read_text())
    reward = load_reward(f"cnn:{tmp_path / 'judge'}")
    test = in_domain(30)
    pixels = torch.from_numpy(test.images).permute(0, 3, 1, 2).float() / 255
    scores = reward(pixels, [test.prompts[group] for group in test.group])
    margin = (scores[test.pairs[:, 0]] - scores[test.pairs[:, 1]]).numpy()
    right = np.sign(margin) == np.sign(test.preference - 0.5)
    assert facts["sets"]["in domain"]["accuracy"] == pytest.approx(right.mean(), abs=0.04)
    assert "--prompts 12 --steps 4 --seed 3" in (tmp_path / "judge" / "README.md").read_text()
