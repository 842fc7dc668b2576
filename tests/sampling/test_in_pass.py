"""The reward in the generator's pass: equal to a pass of its own, cheaper, refused where it would not be equal."""

from dataclasses import replace

import pytest
import torch
from peft import LoraConfig
from torch.utils.flop_counter import FlopCounterMode

from dina_lrm.generators.generator import Generator
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.sampling.best_of_n import best_of_n
from dina_lrm.sampling.in_pass import InPass
from dina_lrm.sampling.ledger import Evaluations, unit_flops
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.pruning import Cut, Pruning
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.sampling.selection import SamplingPlan
from dina_lrm.synthetic.world import bundled_pipeline
from tests.models import randomised

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
PROMPTS = ["a small red ring on white", "two large blue bars on black"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The bundled reward with its LoRA left out and a random head, on disk."""
    config = replace(LatentRewardModel.from_pretrained("synthetic").config, lora=None)
    model = randomised(LatentRewardModel.build(config))
    place = tmp_path_factory.mktemp("frozen") / "model"
    model.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def generator():
    return Generator(bundled_pipeline(), 32, 2, 4.0, 0, 3.0)


@pytest.fixture(scope="module")
def objective(generator, folder):
    return Objective(generator, (RewardTerm(f"latent:{folder}"),))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_velocity_and_score_are_those_of_two_passes(generator, objective, guidance):
    model = objective.rewards[0].model
    x, level, conditioning = generator.noise([1, 2]), torch.tensor(0.6), generator.encode_prompts(PROMPTS)
    with torch.no_grad():
        velocity, scores = InPass(generator, model)(x, level, conditioning, guidance)
        torch.testing.assert_close(velocity, generator.velocity(x, level, conditioning, guidance))
    wanted = model.score_noisy(x, 0.6, conditioning)
    torch.testing.assert_close(scores, wanted, atol=1e-5, rtol=1e-5)
    assert (wanted[0] - wanted[1]).abs() > 1e-3


def test_a_score_costs_the_head_alone(generator, objective):
    units = unit_flops(generator, objective, 4, PROMPTS[0])
    model = objective.rewards[0].model
    x, conditioning = generator.noise([0]), generator.encode_prompts(PROMPTS[:1])
    features = model.backbone.features(x, torch.tensor([0.5]), conditioning)
    with FlopCounterMode(display=False) as counter:
        model.head([features])
    assert units.head == counter.get_total_flops()
    assert 0 < units.head < 0.25 * units.reward


def test_cuts_read_in_pass_choose_as_those_of_noisy_states(generator, objective):
    plan, cuts = SamplingPlan(n=4, steps=4), (Cut(1, keep=2),)
    noisy, in_pass = (best_of_n(generator, objective, PROMPTS, plan, Pruning(cuts, r)) for r in ("noisy", "in-pass"))
    for one, other in zip(noisy, in_pass, strict=True):
        assert one.chosen == other.chosen
        for a, b in zip(one.candidates, other.candidates, strict=True):
            assert a.step_scores == pytest.approx(b.step_scores, abs=1e-4)
    assert noisy[0].spent == Evaluations(generator=2 * (4 + 3 * 2), reward=4 + 2)
    assert in_pass[0].spent == Evaluations(generator=2 * (2 * 4 + 2 * 2), reward=2, head=4)


def test_what_would_not_be_equal_is_refused(generator, objective, folder):
    with pytest.raises(ValueError, match="the reward has a LoRA of rank 16 and needs a pass of its own"):
        InPass(generator, LatentRewardModel.from_pretrained("synthetic", pipeline=generator.pipeline))
    with pytest.raises(ValueError, match="it reads another generator"):
        InPass(generator, LatentRewardModel.from_pretrained(folder))
    tuned = Generator(bundled_pipeline(), 32, 2, 4.0, 0, 3.0)
    model = LatentRewardModel.from_pretrained(folder, pipeline=tuned.pipeline)
    InPass(tuned, model)
    with torch.no_grad():
        next(p for name, p in tuned.parameters.items() if "lora_B" in name).fill_(0.1)
    with pytest.raises(ValueError, match="the generator's LoRA is on"):
        InPass(tuned, model)
    with tuned.reference():
        InPass(tuned, model)


def test_a_lora_that_learns_after_it_was_made_is_refused_at_the_next_call(folder):
    tuned = Generator(bundled_pipeline(), 32, 2, 4.0, 0, 3.0)
    in_pass = InPass(tuned, LatentRewardModel.from_pretrained(folder, pipeline=tuned.pipeline))
    x, level, conditioning = tuned.noise([1, 2]), torch.tensor(0.6), tuned.encode_prompts(PROMPTS)
    _, fresh = in_pass(x, level, conditioning)
    with torch.no_grad():
        next(p for name, p in tuned.parameters.items() if "lora_B" in name).fill_(0.1)
    with pytest.raises(ValueError, match="the generator's LoRA is on"):
        in_pass(x, level, conditioning)
    with tuned.reference():
        assert torch.equal(in_pass(x, level, conditioning)[1], fresh)


@pytest.mark.parametrize("fused", [False, True])
def test_any_other_adapter_in_use_is_refused_too(folder, fused):
    tuned = Generator(bundled_pipeline(), 32, 2, 4.0, 0, 3.0)
    in_pass = InPass(tuned, LatentRewardModel.from_pretrained(folder, pipeline=tuned.pipeline))
    tuned.model.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False), "style")
    if fused:
        tuned.model.set_adapter("style")
        tuned.pipeline.fuse_lora(adapter_names=["style"])
    with pytest.raises(ValueError, match=r"adapters \['style'\] are on, and the reward was trained without"):
        in_pass(tuned.noise([1]), torch.tensor(0.6), tuned.encode_prompts(PROMPTS[:1]))


def test_another_reading_of_the_generator_is_refused(generator, folder):
    model = LatentRewardModel.from_pretrained(folder, pipeline=generator.pipeline)
    model.backbone.config = replace(model.backbone.config, guidance=1.0)
    with pytest.raises(ValueError, match=r"with guidance 1 and reading 'own', which samples with 3\.5 and 'own'"):
        InPass(generator, model)
