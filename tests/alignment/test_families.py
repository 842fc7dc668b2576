"""Every family of generators can be aligned, by every algorithm, and gives a LoRA that plain diffusers reads."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dina_lrm.alignment.algorithms.distill.distill import Distill
from dina_lrm.alignment.algorithms.distill.settings import DistillSettings
from dina_lrm.alignment.trainer import AlignmentRun
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.generators.kernels import Ode
from dina_lrm.generators.load import loaded_generator
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.locate import locate_generator
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.synthetic.world import bundled_pipeline
from tests.alignment.runs import CONFIGS, DISTILL, OWN_PAIRS, an_update_on_pairs, variance_preserving
from tests.backbones.families import ONE_OF_EACH, SETTINGS
from tests.models import randomised

PAIRS = OWN_PAIRS["dpo"]
PROMPTS = ["a red cube", "the ball", "green"]
PIXELS, NO_GRADIENT = RewardTerm("high-frequency", weight=-1.0), RewardTerm("jpeg-size")


@dataclass(frozen=True)
class Place:
    """A family's generator and a reward model that reads it, in folders."""

    family: str
    prompt_length: int
    side: int
    generator: Path
    reward: Path
    plain: Callable[[], Any]
    """Its pipeline as plain diffusers has it."""


@pytest.fixture(scope="module", params=ONE_OF_EACH, ids=lambda case: case.config.family)
def place(request, tmp_path_factory):
    case, folder = request.param, tmp_path_factory.mktemp(request.param.name)
    family = case.config.family
    if family == "stable-diffusion":
        # One that has learned: a random prediction of the noise takes none away, and rewards refuse what is left
        generator, plain, side = locate_generator("synthetic-unet"), partial(bundled_pipeline, "synthetic-unet"), 32
        backbone = BackboneConfig(family, str(generator), 3, (1, 2, 3), (0,))
    else:
        generator, plain, side = case.save(folder / "generator"), case.pipeline, 64
        backbone = case.standalone(generator).config
    head = QFormerConfig(width=16, attention_heads=4, mask_text_padding=case.masked)
    model = randomised(LatentRewardModel.build(RewardModelConfig(backbone, head, SETTINGS, resolution=side)))
    model.save_pretrained(folder / "reward")
    return Place(family, backbone.prompt_length, side, generator, folder / "reward", plain)


def config_of(config, place):
    latent = RewardTerm(f"latent:{place.reward}", noise_level=0.2)
    rewards = {"refl": (latent, PIXELS), "distill": (latent, PIXELS), "lpo": (latent,), "crd": (latent,)}.get(
        config.algorithm, (NO_GRADIENT,)
    )
    generator = replace(
        config.generator, pretrained=str(place.generator), resolution=place.side, prompt_length=place.prompt_length,
        guidance=1.0, precision="fp32",
    )  # fmt: skip
    config = replace(config, steps=2, ema_decay=0.0, rewards=rewards, generator=generator)
    return variance_preserving(config) if place.family == "stable-diffusion" else config


@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.algorithm)
def test_it_learns_and_its_lora_is_that_of_plain_diffusers(place, config, tmp_path):
    config = config_of(config, place)
    generator = loaded_generator(config.generator, "cpu")
    looks = []
    AlignmentRun(config, generator, PROMPTS, PROMPTS[:2], tmp_path).run(looks.append, lambda *_: None)
    assert [look.step for look in looks] == [0, 2] and looks[-1].images.shape == (2, place.side, place.side, 3)
    assert (looks[0].images != looks[1].images).any()
    pipeline = place.plain()
    pipeline.load_lora_weights(tmp_path / "lora")
    fresh = loaded_generator(config.generator, "cpu")
    fresh.load_lora(tmp_path / "lora")
    x, level = fresh.noise([1]), torch.tensor(0.6)
    expected = generator.velocity(x, level, generator.encode_prompts(PROMPTS[:1]))
    found = fresh.velocity(x, level, fresh.encode_prompts(PROMPTS[:1]))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_it_learns_from_given_pairs(place):
    config = config_of(replace(PAIRS, dpo=replace(PAIRS.dpo, weighting="noise")), place)
    generator = loaded_generator(config.generator, "cpu")
    generator.cuts_prompts = True
    outcome = an_update_on_pairs(config, generator)
    assert outcome.details["winner_error"] == pytest.approx(outcome.details["winner_reference"], rel=1e-4)
    assert outcome.gradient_norm > 0


def test_a_guided_teacher_is_the_family_s_own_guidance_or_is_refused_by_name(place):
    config = config_of(replace(DISTILL, distill=DistillSettings(guidance=3.0, scale=0.0)), place)
    generator = loaded_generator(config.generator, "cpu")
    if generator.backbone.guidance_built_in:
        with pytest.raises(ValueError, match=r"distill\.guidance: 3\.0 for a generator that was distilled with"):
            distilled(config, generator)
        return
    algorithm = distilled(config, generator)
    outcome = algorithm.update(0, lambda: 0.0)
    every = [parameter.grad for parameter in generator.parameters.values() if parameter.grad is not None]
    assert any(bool(grad.abs().max() > 0) for grad in every) and all(bool(grad.isfinite().all()) for grad in every)
    assert outcome.details["to_base"] < 1e-9  # a pass of both conditions rounds otherwise
    assert outcome.details["to_teacher"] == pytest.approx(guidance_moves(algorithm, config), rel=1e-3)


def distilled(config, generator):
    objective = Objective(generator, config.rewards, differentiable=True)
    return Distill(config, generator, objective, PROMPTS, Processes(cpu=True))


def guidance_moves(algorithm, config):
    """The mean square of what guidance adds to the velocity, at the states of the base model's first rollout."""
    generator, levels, rng = algorithm.generator, algorithm.levels, np.random.default_rng([config.seed, 0])
    prompts, seeds = algorithm.drawn_prompts(rng, config.batch_size), rng.integers(2**62, size=config.batch_size)
    added = []
    with torch.no_grad():
        conditioning = generator.encode_prompts(prompts)
        x = generator.start(generator.noise(seeds.tolist()), levels[0])
        for level, after in itertools.pairwise(levels[:-1]):
            plain = generator.velocity(x, level, conditioning)
            added.append((generator.velocity(x, level, conditioning, 3.0) - plain).square().mean().item())
            x = Ode().step(generator.process, x, plain, level, after).mean
    return np.mean(added)
