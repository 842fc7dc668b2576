"""A generator that has a LoRA already: it stays beneath what learns, in the reference too; rewards read without it."""

from dataclasses import replace

import pytest
import torch

from dina_lrm import LatentRewardModel
from dina_lrm.alignment.monitor.settings import LookSettings
from dina_lrm.generators.generator import ADAPTER, Generator
from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.settings import usual_settings
from dina_lrm.locate import BUNDLED_LORAS
from dina_lrm.rewards.disjoint import check_disjoint
from dina_lrm.rewards.names import load_reward
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.synthetic.world import bundled_pipeline
from tests.alignment.runs import PROMPTS, REFL, a_run, updated

LORA = BUNDLED_LORAS["synthetic-uncurated"][1]
LEVEL = torch.tensor(0.6)


@pytest.fixture
def generator():
    return Generator(bundled_pipeline(), 32, 2, 4.0, 0, 1.0, lora=LORA)


def latents(count=3):
    return torch.randn(count, 16, 8, 8, generator=torch.Generator().manual_seed(0))


def learned(generator, value=0.02):
    with torch.no_grad():
        for name, parameter in generator.parameters.items():
            if "lora_B" in name:
                parameter.fill_(value)


@torch.no_grad()
def velocity(generator):
    return generator.velocity(latents(), LEVEL, generator.encode_prompts(PROMPTS))


def test_what_lies_beneath_is_the_reference_and_stays_while_the_other_learns(generator):
    plain = Generator(bundled_pipeline(), 32, 2, 4.0, 0, 1.0)
    pipeline = bundled_pipeline("synthetic-uncurated")
    told = plain.encode_prompts(PROMPTS)
    with torch.no_grad():
        alone = pipeline.transformer(latents(), told.prompt_embeds, told.pooled_prompt_embeds, 1000 * LEVEL.repeat(3))
    assert generator.tuned and not plain.tuned
    assert not torch.allclose(velocity(generator), velocity(plain), atol=1e-2)
    torch.testing.assert_close(velocity(generator), alone[0], rtol=1e-4, atol=1e-4)
    beneath = {name: p.clone() for name, p in generator.model.named_parameters() if ".beneath." in name}
    assert beneath and not any(p.requires_grad for name, p in generator.model.named_parameters() if ".beneath." in name)
    before = velocity(generator)
    updated(REFL, generator, lr=1.0)
    assert not torch.equal(velocity(generator), before)
    with generator.reference():
        torch.testing.assert_close(velocity(generator), before, rtol=0, atol=0)
    now = dict(generator.model.named_parameters())
    assert all(torch.equal(now[name], value) for name, value in beneath.items())


def test_a_latent_reward_reads_the_pretrained_weights_alone(generator):
    reward = LatentRewardModel.from_pretrained("synthetic", pipeline=generator.pipeline)
    learned(generator)
    told = reward.encode_prompts(PROMPTS)
    own = LatentRewardModel.from_pretrained("synthetic").score_latents(latents(), told, 0.2)
    torch.testing.assert_close(reward.score_latents(latents(), told, 0.2), own, rtol=1e-4, atol=1e-4)


# diffusers' own warning of a second adapter
@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_plain_diffusers_puts_both_together_from_their_folders(generator, tmp_path):
    learned(generator)
    generator.save_lora(tmp_path)
    pipeline = bundled_pipeline()
    pipeline.load_lora_weights(LORA, adapter_name="beneath")
    pipeline.load_lora_weights(tmp_path, adapter_name="tuned")
    pipeline.set_adapters(["beneath", "tuned"])
    told = generator.encode_prompts(PROMPTS)
    with torch.no_grad():
        both = pipeline.transformer(latents(), told.prompt_embeds, told.pooled_prompt_embeds, 1000 * LEVEL.repeat(3))
    torch.testing.assert_close(velocity(generator), both[0], rtol=1e-4, atol=1e-4)
    again = Generator(bundled_pipeline(), 32, 1, 1.0, 0, 1.0, lora=LORA)
    again.load_lora(tmp_path)
    torch.testing.assert_close(velocity(again), both[0], rtol=1e-4, atol=1e-4)


def test_less_of_a_lora_lies_between_it_and_the_reference(generator):
    learned(generator)
    whole = velocity(generator)
    with generator.scaled(0.0):
        none = velocity(generator)
    with generator.reference():
        torch.testing.assert_close(velocity(generator), none)
    with generator.scaled(0.25):
        some = velocity(generator)
    assert 0 < (some - none).norm() < (whole - none).norm()
    torch.testing.assert_close(velocity(generator), whole, rtol=0, atol=0)


def test_looks_with_less_of_the_lora_drift_less(tmp_path):
    drifts = []
    for scale in (1.0, 0.5):
        looks = LookSettings(every=2, images=1, lora_scale=scale)
        _, found, _ = a_run(replace(REFL, steps=2, looks=looks), tmp_path / str(scale))
        drifts.append(found[-1].record.extra["drift"])
    assert 0 < drifts[1] < drifts[0]
    with pytest.raises(ValueError, match=r"looks.lora_scale.*accepted: a number in \(0, 1\]"):
        LookSettings(lora_scale=0.0)


def test_the_bundled_name_is_the_generator_with_its_lora(generator):
    settings = replace(usual_settings("synthetic-uncurated"), rank=2, alpha=4.0, guidance=1.0)
    torch.testing.assert_close(velocity(loaded_generator(settings, "cpu")), velocity(generator))
    own = replace(settings, pretrained="synthetic", lora=str(LORA))
    torch.testing.assert_close(velocity(loaded_generator(own, "cpu")), velocity(generator))
    with pytest.raises(ValueError, match="synthetic-uncurated is synthetic with a LoRA; accepted: one LoRA"):
        loaded_generator(replace(settings, lora="runs/other"), "cpu")
    with pytest.raises(ValueError, match="holds no LoRA; accepted"):
        loaded_generator(replace(own, lora="tests"), "cpu")
    assert ADAPTER not in str(sorted(generator.pipeline.get_list_adapters()["transformer"])[:1])


def test_the_judge_of_pixels_may_be_golden_and_tells_good_from_bad():
    judge, objective = load_reward("cnn"), load_reward("latent:synthetic")
    check_disjoint(judge, [objective])
    white = torch.ones(1, 3, 32, 32)
    red = white.clone()
    red[:, 1:, 10:22, 10:22] = 0.1
    pictures = torch.cat([red, white]).requires_grad_()
    scores = judge(pictures, ["a large red square on white"] * 2)
    assert scores[0] > scores[1]
    assert torch.autograd.grad(scores.sum(), pictures)[0].abs().sum() > 0
    with pytest.raises(ValueError, match="accepted: 32 x 32"):
        judge(torch.ones(1, 3, 16, 16), ["a large red square on white"])
    with pytest.raises(ValueError, match="accepted"):
        load_reward("cnn:nowhere")
    assert RewardTerm("cnn").name == judge.name


def test_a_folder_that_is_refused_leaves_the_lora_in_place(generator, tmp_path):
    learned(generator)
    before = velocity(generator)
    with pytest.raises(ValueError, match="holds no LoRA; accepted"):
        generator.load_lora(tmp_path)
    torch.testing.assert_close(velocity(generator), before, rtol=0, atol=0)
