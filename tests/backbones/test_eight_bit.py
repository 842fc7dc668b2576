"""Linear layers in 8 bits: near the exact ones, forwards and backwards, with everything that learns left as it was."""

import dataclasses

import pytest
import torch
from torch import nn

from dina_lrm.backbones.eight_bit import EightBitLinear, in_eight_bits
from dina_lrm.training.config import ComputeSettings, TrainConfig
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.training.tiny_runs import tiny_comparisons, tiny_config


@pytest.mark.parametrize(("kind", "tolerance"), [("int8", 0.02), ("float8", 0.05)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_near_the_exact_layer(kind, tolerance, dtype):
    torch.manual_seed(0)
    layer = nn.Linear(64, 96).requires_grad_(False).to(dtype)
    x = torch.randn(2, 40, 64, dtype=dtype, requires_grad=True)
    gradient = torch.randn(2, 40, 96, dtype=dtype)
    exact = layer(x)
    low = EightBitLinear(layer, kind)(x)
    for found, true in (
        (low, exact),
        (torch.autograd.grad(low, x, gradient)[0], torch.autograd.grad(exact, x, gradient)[0]),
    ):
        assert found.dtype == dtype and (found - true).float().norm() < tolerance * true.float().norm()


def test_a_row_does_not_depend_on_the_others():
    layer = EightBitLinear(nn.Linear(64, 64).requires_grad_(False), "int8")
    x = torch.randn(5, 64)
    assert torch.equal(layer(x)[:2], layer(x[:2]))


def test_what_learns_is_left_alone():
    with pytest.raises(ValueError, match="no frozen linear layer is large enough"):
        in_eight_bits(nn.ModuleDict({"block": nn.Sequential(nn.Linear(64, 64))}), ["block"], "int8")
    with pytest.raises(ValueError, match=r"compute\.linears: got 'int8'"):
        TrainConfig(
            adaptation=dataclasses.replace(TrainConfig().adaptation, kind="full"),
            compute=ComputeSettings(linears="int8"),
        )


@pytest.mark.parametrize("kind", ["int8", "float8"])
def test_a_run_in_8_bits_learns_alike(tiny_folder, tmp_path, kind):
    config = dataclasses.replace(tiny_config(tiny_folder), steps=3)
    low = dataclasses.replace(config, compute=ComputeSettings(precision="fp32", linears=kind))
    found, exact = (
        train(TrainingPlan(one, tiny_comparisons(), tmp_path / name, quiet=True))
        for name, one in (("low", low), ("exact", config))
    )
    assert found.validation.loss == pytest.approx(exact.validation.loss, rel=0.05)
    assert sum(isinstance(module, EightBitLinear) for module in found.model.modules()) > 4
    with pytest.raises(ValueError, match="quantised weights"):
        found.model.backbone.merge_lora()
