import math
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.reward_model.assembly import fresh_head
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.processes import Processes
from dina_lrm.training import flops
from dina_lrm.training.config import AdaptationSettings
from dina_lrm.training.flops import StepCosts, counted, known_ceiling, matmul_ceiling
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import Trainer
from tests.backbones.families import ONE_OF_EACH, PROMPTS, SETTINGS
from tests.training.tiny_runs import tiny_comparisons, tiny_config


@pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda case: case.name)
def test_every_family_is_counted_on_shapes_alone(case):
    backbone = case.shared(case.pipeline())
    backbone.add_lora(SETTINGS)
    config = RewardModelConfig(backbone=case.config, head=QFormerConfig(width=16, attention_heads=2), lora=SETTINGS)
    model = LatentRewardModel(config, backbone, fresh_head(config, backbone, 0)).train()
    found = counted(model, case.latents(), backbone.encode_prompts([PROMPTS[0]]))
    known = case.config.family != "z-image"  # whose rows are picked by the values of the mask
    assert (found.flops > 0 and found.tokens > 0) if known else math.isnan(found.flops)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_counted_is_what_a_forward_and_backward_compute(tiny_folder):
    """Beside attention, of which torch's counter knows nothing on processors."""
    trainer = Trainer(TrainingPlan(tiny_config(tiny_folder), tiny_comparisons(), "unused", quiet=True), Processes())
    inputs = trainer.source(0)
    (micro,) = inputs.micro_batches
    (images,) = micro.batch.images
    model = trainer.stepper.model
    with FlopCounterMode(display=False) as counter:
        scores = model(images.latents, torch.full((len(images),), 0.4), images.conditioning)
        scores.sum().backward()
    one = counted(model, images.latents, images.conditioning)
    assert StepCosts(model, "plain").of(inputs).flops == pytest.approx(one.flops * len(images))
    assert one.flops * len(images) == pytest.approx(counter.get_total_flops(), rel=0.1)
    assert one.tokens == 4 + images.conditioning.prompt_embeds.shape[1]  # 4 x 4 latents in patches of 2


def test_what_models_of_one_build_cost_is_counted_once(tiny_folder, monkeypatch):
    counts = []

    def watched(*given):
        counts.append(given)
        return counted(*given)

    monkeypatch.setattr(flops, "counted", watched)
    monkeypatch.setattr(flops, "_KNOWN", {})
    config = tiny_config(tiny_folder)
    wider = replace(config, adaptation=replace(config.adaptation, lora=LoraSettings(rank=4, alpha=4.0)))
    frozen = replace(config, adaptation=AdaptationSettings(kind="frozen"))
    found = []
    for each in (config, replace(config, seed=1), wider, frozen):
        trainer = Trainer(TrainingPlan(each, tiny_comparisons(), "unused", quiet=True), Processes())
        found.append(StepCosts(trainer.stepper.model, each.adaptation).of(trainer.source(0)).flops)
    assert len(counts) == 3
    assert found[0] == found[1] < found[2] and found[3] < found[0]


def test_larger_images_cost_more(tiny_folder):
    trainer = Trainer(TrainingPlan(tiny_config(tiny_folder), tiny_comparisons(), "unused", quiet=True), Processes())
    model, prompt = trainer.stepper.model, Conditioning(*(t[:1] for t in _prompt(trainer)))
    small, large = (counted(model, torch.zeros(1, 16, side, side), prompt) for side in (4, 8))
    assert large.flops > small.flops and large.tokens == small.tokens + 12


def test_the_ceiling_is_a_rate():
    found = matmul_ceiling(torch.device("cpu"), torch.float32, budget=0.01)
    assert math.isfinite(found) and found > 1e8
    assert len({known_ceiling(torch.device("cpu"), torch.float32) for _ in range(3)}) == 1


def _prompt(trainer):
    (images,) = trainer.source(0).micro_batches[0].batch.images
    return images.conditioning.prompt_embeds, images.conditioning.pooled_prompt_embeds
