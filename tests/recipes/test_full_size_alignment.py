"""Alignment recipes of full size: what their papers say, and that each learns when it is made small."""

import json
import shlex

import pytest

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.cli.main import main
from dina_lrm.recipes.alignment import GRPO_RECIPES, REFL_RECIPES, align_recipe
from dina_lrm.recipes.distillation import DISTILL_RECIPES
from dina_lrm.recipes.forward_alignment import AWM_RECIPES, CRAFT_RECIPES, CRD_RECIPES, DGPO_RECIPES, NFT_RECIPES

TABLES = (
    REFL_RECIPES,
    GRPO_RECIPES,
    NFT_RECIPES,
    AWM_RECIPES,
    CRAFT_RECIPES,
    CRD_RECIPES,
    DGPO_RECIPES,
    DISTILL_RECIPES,
)
RECIPES = {table["paper-sd35m"]().algorithm: table["paper-sd35m"] for table in TABLES}
SMALL = (
    "--generator.pretrained synthetic --generator.resolution 32 --generator.prompt-length 0 --generator.rank 2 "
    "--looks.golden cnn --looks.sampling-steps None --looks.prompts 2 --looks.images 1 --micro-batch 2"
).split()
"""The bundled generator in the place of Stable Diffusion."""
FEWEST = {
    "refl": ("--generator.sampling-steps", "4", "--refl.first", "2", "--refl.last", "3"),
    "flow-grpo": ("--grpo.group", "2", "--grpo.updates", "1"),
    **{algorithm: ("--forward.group", "2") for algorithm in ("nft", "awm", "crd", "dgpo")},
    "craft": ("--generator.sampling-steps", "4"),
}
"""Less of what decides how long an update takes."""


@pytest.mark.parametrize("algorithm", RECIPES)
def test_it_says_its_command_and_what_to_expect_and_is_stored_as_it_is(algorithm):
    make = RECIPES[algorithm]
    config = make()
    assert shlex.split(make.__doc__.split("`")[1])[1:4] == ["align", algorithm, "paper-sd35m"]
    assert "Expected" in make.__doc__ and align_recipe(algorithm, "paper-sd35m") == config
    assert (
        config.generator.pretrained == "stabilityai/stable-diffusion-3.5-medium" and config.generator.resolution == 1024
    )
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_nothing_that_is_optimised_for_judges():
    for make in RECIPES.values():
        config: AlignConfig = make()
        assert config.looks.golden not in {term.name for term in config.rewards}


@pytest.mark.parametrize(
    ("algorithm", "prompts", "levels"), [("nft", 48, 9), ("awm", 24, 6), ("crd", 24, 10), ("dgpo", 24, 4)]
)
def test_groups_of_24_without_guidance_as_in_the_papers(algorithm, prompts, levels):
    config = RECIPES[algorithm]()
    assert (config.batch_size / config.forward.group, config.passes_per_image) == (prompts, levels)
    assert (
        config.forward.group == 24 and config.lr == 3e-4 and config.generator.rank * 2 == config.generator.alpha == 64
    )
    assert config.generator.guidance == config.forward.rollout_guidance == 1


@pytest.mark.parametrize("algorithm", RECIPES)
def test_a_dry_run_of_it_on_a_small_generator_learns(algorithm, tmp_path):
    rewards = ["latent:synthetic", *(["sharpness", "colourfulness"] if algorithm == "craft" else [])]
    words = ["align", algorithm, "paper-sd35m", "--prompts", "synthetic", "--out", str(tmp_path / "run"), "--dry-run"]
    told = tmp_path / "told.json"
    assert main([*words, *SMALL, *FEWEST.get(algorithm, ()), "--reward", *rewards, "--quiet", "--json", str(told)]) == 0
    found = json.loads(told.read_text())
    assert (found["algorithm"], found["steps"]) == (algorithm, 2) and not (tmp_path / "run").exists()
