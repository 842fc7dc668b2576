import json
import shlex
from dataclasses import replace

import pytest

from dina_lrm.preference.distributions import Uniform
from dina_lrm.recipes import RECIPES, recipe
from dina_lrm.training.config import TrainConfig


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete_and_named_after_its_row(name):
    config = recipe(name)
    assert config.name == name
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_its_command_and_what_to_expect(name):
    text = RECIPES[name].make.__doc__
    command = shlex.split(text.split("`")[1])
    assert command[command.index("train") + 1] == name
    assert "Expected" in text
    assert RECIPES[name].help


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_makes_a_reward_model_config(name):
    from dina_lrm.training.assemble import preference_objective, reward_model_config

    config = recipe(name)
    assert reward_model_config(config).backbone.depth == config.model.backbone.depth
    preference_objective(config.objective.preference)


@pytest.mark.parametrize(
    ("name", "taps"), [("paper-flux1-dev", (8, 12, 16, 19)), ("paper-z-image-turbo", (4, 8, 12, 16))]
)
def test_the_larger_generators_of_the_paper(name, taps):
    config = recipe(name)
    backbone, lora = config.model.backbone, config.adaptation.lora
    assert backbone.visual_taps == backbone.text_taps == taps and backbone.depth == taps[-1]
    assert (config.model.head.width, config.model.head.use_proj_in) == (1536, True)
    assert (lora.rank, lora.alpha) == ((64, 128.0) if "flux" in name else (32, 64.0))
    assert replace(config, name="", model=recipe("paper-sd35m").model, adaptation=recipe("paper-sd35m").adaptation) == (
        replace(recipe("paper-sd35m"), name="")
    )


def test_the_paper_is_the_paper():
    config = recipe("paper-sd35m")
    assert (config.adaptation.lora.rank, config.adaptation.lora.alpha) == (64, 128.0)
    assert config.model.backbone.visual_taps == config.model.backbone.text_taps == (4, 8, 12)
    assert (config.optimizer.lr, config.optimizer.weight_decay, config.optimizer.clip_norm) == (5e-5, 0.01, 1.0)
    assert (config.batch_size, config.epochs, config.ema.decay) == (64, 1.0, 0.995)
    assert config.objective.preference.name == "paper"
    assert config.objective.noise_levels.sampler == Uniform()


def test_baselines_change_one_thing():
    base = recipe("synthetic").to_dict()
    for name in ("synthetic-frozen", "synthetic-random"):
        other = recipe(name).to_dict()
        assert {key for key in base if base[key] != other[key]} == {"name", "adaptation"}


def test_a_misspelt_recipe_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean synthetic-frozen"):
        recipe("synthetic-frosen")


def test_every_finding_in_miniature_has_its_run_at_full_scale():
    from dina_lrm.experiments.ablations.variants import VARIANTS

    elsewhere = {"base": "", "uniform": "", "uniform-fixed": "fixed-variance", "distilled": "best"}
    # A random backbone, votes that annotators of the paper's data gave already, and judges that are trained elsewhere
    only_here = {"random", "votes-5", "pixel-cnn", "pixel-clip", "lrm-frozen", "unet", "unet-random"}
    assert {"lrm-sd3", "lrm-sd15", "lrm-sdxl"} <= set(RECIPES)
    for name in VARIANTS.keys() - only_here - {"lrm", "unet-lrm"}:
        assert "-".join(filter(None, ("paper-sd35m", elsewhere.get(name, name.replace("depth-4", "depth-16"))))) in {
            *RECIPES,
            "paper-sd35m-depth-2",
            "paper-sd35m-depth-6",
        }
