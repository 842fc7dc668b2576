"""AdamW in each of its kinds: one trajectory to rounding, and one after a resumption to the bit."""

import dataclasses
import importlib.util

import pytest
import torch
from safetensors import safe_open

from dina_lrm.runs.metrics import read_lines
from dina_lrm.training.assemble import adamw
from dina_lrm.training.config import AdaptationSettings, OptimizerSettings
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.training.tiny_runs import tiny_comparisons, tiny_config

EIGHT_BIT = importlib.util.find_spec("bitsandbytes") is not None


def losses(folder):
    return [line["loss"] for line in read_lines(folder / "metrics.jsonl") if "loss" in line]


def trained(config, folder, steps=4, resume=False):
    train(TrainingPlan(dataclasses.replace(config, steps=steps), tiny_comparisons(), folder, resume=resume, quiet=True))
    return losses(folder)


def test_kinds_agree_and_the_lora_may_be_bf16(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder, optimizer=OptimizerSettings(lr=1e-3))
    fused = trained(config, tmp_path / "fused")
    foreach = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, kind="foreach"))
    assert trained(foreach, tmp_path / "foreach") == pytest.approx(fused, rel=1e-5)
    coarse = dataclasses.replace(config, adaptation=AdaptationSettings(lora=config.adaptation.lora, precision="bf16"))
    assert trained(coarse, tmp_path / "bf16") == pytest.approx(fused, rel=0.02)
    with safe_open(tmp_path / "bf16" / "checkpoints" / "step-4" / "weights.safetensors", "pt") as file:
        kinds = {"lora" in name: file.get_tensor(name).dtype for name in file.keys()}
    assert kinds == {True: torch.bfloat16, False: torch.float32}


@pytest.mark.skipif(EIGHT_BIT, reason="bitsandbytes is installed")
def test_without_bitsandbytes_the_way_out_is_said():
    with pytest.raises(ValueError, match=r"optimizer\.kind: '8bit' needs bitsandbytes.*accepted without it: fused"):
        adamw([{"params": [torch.nn.Parameter(torch.zeros(3))], "lr": 1.0}], OptimizerSettings(kind="8bit"))


@pytest.mark.skipif(not EIGHT_BIT, reason="bitsandbytes is not installed")
def test_moments_of_8_bits_learn_alike_and_resume_to_the_bit(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("dina_lrm.training.assemble.LEAST_8BIT", 64)  # the tiny LoRA's factors are that small
    config = tiny_config(tiny_folder, optimizer=OptimizerSettings(lr=1e-3, kind="8bit"))
    whole = trained(config, tmp_path / "whole", steps=6)
    fused = dataclasses.replace(config, optimizer=OptimizerSettings(lr=1e-3))
    assert whole == pytest.approx(trained(fused, tmp_path / "fused", steps=6), rel=0.02)
    trained(config, tmp_path / "parts", steps=4)
    assert trained(config, tmp_path / "parts", steps=6, resume=True) == whole
