"""Dropout that is drawn for each image: laws of its masks, and steps that are the same however they are cut."""

import dataclasses

import pytest
import torch
from torch import nn

from dina_lrm.backbones.image_dropout import ImageDropout, _mixed, kept
from dina_lrm.backbones.pipeline_folder import load_pipeline
from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.backbones.t5 import without_t5
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.preference.distributions import Uniform
from dina_lrm.preference.noise_levels import NoiseLevelSampler
from dina_lrm.runs.processes import Processes
from dina_lrm.training.assemble import build_model
from dina_lrm.training.batching import StepInputs, StepSource
from dina_lrm.training.config import AdaptationSettings, ComputeSettings, HeterogeneousSettings
from dina_lrm.training.step import Stepper
from tests.training.tiny_runs import sized_comparisons, tiny_config

NAMES = torch.randint(2**62, (64,), generator=torch.Generator().manual_seed(0))


def test_the_mix_is_that_of_murmur_hash():
    given = torch.tensor([0, 1, -1], dtype=torch.int32)
    assert [value % 2**32 for value in _mixed(given).tolist()] == [0, 0x514E28B7, 0x81F16F39]


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_each_number_stays_by_its_chance_and_by_itself(p):
    keep = kept(NAMES, (64, 32, 64), p, layer=3).double()
    deviation = (p * (1 - p)) ** 0.5
    assert abs(keep.mean() - (1 - p)) < 4 * deviation / keep.numel() ** 0.5
    for axis in range(3):
        other = [each for each in range(3) if each != axis]
        off = (keep.mean(dim=other) - (1 - p)) / (deviation / (keep.numel() / keep.shape[axis]) ** 0.5)
        assert off.abs().max() < 4.5, "no image, token or channel is kept more often"
    z = (keep - keep.mean()) / deviation
    for shift in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)]:
        assert abs((z * z.roll(shift, dims=(0, 1, 2))).mean()) < 4.5 / keep.numel() ** 0.5, shift
    square = z * z.roll(1, 1) * z.roll(1, 2) * z.roll((1, 1), (1, 2))  # of two tokens and two channels
    assert abs(square.mean()) < 4.5 / keep.numel() ** 0.5 * max(1.0, square.std().item())
    assert abs((z * (kept(NAMES, (64, 32, 64), p, 4).double() - (1 - p))).mean()) < 4.5 * deviation / 362


def test_a_mask_is_of_the_name_alone():
    whole = kept(NAMES, (64, 7, 5), 0.3, 1)
    assert torch.equal(kept(NAMES[[9, 3]], (2, 7, 5), 0.3, 1), whole[[9, 3]])
    assert torch.equal(kept(NAMES, (64, 4, 5), 0.3, 1), whole[:, :4]), "fewer tokens are the beginning of more"
    assert torch.equal(kept(NAMES, (64, 7, 1, 5), 0.3, 1).flatten(1), whole.flatten(1))
    assert kept(NAMES, (64, 6), 0.3, 1).shape == (64, 6)


def settings(folder, **changes):
    """A run that drops in its LoRA and in its head."""
    config = tiny_config(folder, batch_size=8)
    lora, head = LoraSettings(rank=2, alpha=4.0, dropout=0.4), QFormerConfig(16, attention_heads=2, dropout=0.3)
    own = {"adaptation": AdaptationSettings(lora=lora), "model": dataclasses.replace(config.model, head=head)}
    return dataclasses.replace(config, **own | changes)


def stepped(config, place, inputs):
    """Loss and gradients of one step."""
    model = build_model(config, torch.device("cpu"))
    with torch.no_grad():  # else the LoRA gives nothing at the beginning
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    stepper = Stepper(config, model, 6, Processes(cpu=True), place)
    learned = {name: parameter for name, parameter in stepper.parameters.items()}
    before = {name: parameter.detach().clone() for name, parameter in learned.items()}
    found = {}
    stepper.optimizer.register_step_pre_hook(
        lambda *_: found.update({name: each.grad.clone() for name, each in learned.items()})
    )
    loss = stepper(inputs).totals.whole.mean_loss
    assert any(not torch.equal(before[name], parameter) for name, parameter in learned.items())
    return loss, found


def source(accumulation=1, **more):
    data, levels = sized_comparisons(), NoiseLevelSampler(Uniform())
    return StepSource(data, levels, 8, seed=0, accumulation=accumulation, **more)


CUTS = {
    "in three": {"accumulation": 3},
    "computed again": {"compute": ComputeSettings(precision="fp32", gradient_checkpointing=True)},
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("heterogeneous", [0.0, 0.5])
def test_a_step_drops_the_same_however_it_is_computed(tiny_folder, tmp_path, cut, heterogeneous):
    chosen = settings(tiny_folder)
    chosen = dataclasses.replace(
        chosen, objective=dataclasses.replace(chosen.objective, heterogeneous=HeterogeneousSettings(heterogeneous))
    )
    more = dict(CUTS[cut])
    count = more.pop("accumulation", 1)
    state = torch.get_rng_state()
    loss, wanted = stepped(chosen, tmp_path, source()(3))
    again, found = stepped(dataclasses.replace(chosen, **more), tmp_path, source(count)(3))
    assert again == pytest.approx(loss, rel=1e-5)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-3)
    assert torch.equal(torch.get_rng_state(), state), "nothing of a step is drawn from the global generator"
    other, _ = stepped(chosen, tmp_path, dataclasses.replace(source()(3), step=4))
    assert other != pytest.approx(loss, rel=1e-3), "another step, another mask"


def test_shares_of_processes_drop_what_the_whole_does(tiny_folder, tmp_path):
    loss, wanted = stepped(settings(tiny_folder), tmp_path, source()(2))
    parts = [source(rank=rank, world=2)(2) for rank in range(2)]
    micro = [each for part in parts for each in part.micro_batches]
    found = stepped(settings(tiny_folder), tmp_path, StepInputs(2, micro, parts[0].total_weight))
    assert found[0] == pytest.approx(loss, rel=1e-5)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-5, rtol=1e-3)


def test_a_lora_on_a_lent_generator_draws_by_image_too(tiny_folder):
    pipeline = load_pipeline(tiny_folder, torch.float32, without_t5(tiny_folder))
    model = build_model(settings(tiny_folder), torch.device("cpu"), pipeline)
    Stepper(settings(tiny_folder), model, 6, Processes(cpu=True), tiny_folder)
    for module in (*model.modules(), *model.backbone.transformer.modules()):
        assert type(module) is not nn.Dropout or module.p == 0
    held = [each for each in model.backbone.transformer.modules() if isinstance(each, ImageDropout)]
    assert {*held} <= {*model.modules()} and len(held) > 4
