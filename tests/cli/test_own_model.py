"""A generator of one's own, of any family: nothing but its folder is said, and everything works at the first try."""

import json

import numpy as np
import pytest
from PIL import Image

from dina_lrm.backbones.families import FAMILIES
from dina_lrm.cli.main import main
from dina_lrm.generators.settings import usual_settings
from dina_lrm.recipes.own import own
from dina_lrm.recipes.own_alignment import own_best
from dina_lrm.reward_model.model import LatentRewardModel
from tests.backbones.families import FAMILY_CASES

CASES = tuple({(case.config.family, case.component, len(case.strides or ())): case for case in FAMILY_CASES}.values())
"""A row of each family, and each kind of U-Net."""
PROMPTS = ("a red cube", "the ball", "green")
NO_TRACKERS = "--log.trackers"


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Four comparisons of three pictures."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for n in range(3):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    rows = [(0, 1, 0), (1, 2, 1), (0, 2, 2), (2, 1, 0)]
    lines = [
        json.dumps({"prompt": PROMPTS[p], "image_a": f"{a}.png", "image_b": f"{b}.png", "preference": 1.0})
        for a, b, p in rows
    ]
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "pairs.jsonl"


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def place(request, tmp_path_factory):
    """A folder with the family's `generator`."""
    folder = tmp_path_factory.mktemp(request.param.name)
    request.param.save(folder / "generator")
    return request.param, folder


@pytest.fixture(scope="module")
def trained(place, pairs):
    """The run of a reward model that reads it."""
    case, folder = place
    # Qwen-Image's files say nothing of its pictures, and those of a published one take a while
    side = ["--model.resolution", 64] if case.config.family == "qwen-image" else []
    words = ["train", "--model.pretrained", folder / "generator", "--data", pairs, "--out", folder / "run", *side]
    assert run(*words, "--quiet", NO_TRACKERS) == 0
    return case, folder


def test_every_family_has_its_row():
    assert {case.config.family for case in CASES} == set(FAMILIES)


def test_a_folder_is_all_that_training_needs(trained):
    case, folder = trained
    model = LatentRewardModel.from_pretrained(folder / "run")
    assert model.config.notes["training"]["recipe"] == "own"
    assert model.config.backbone.family == case.config.family
    assert model.config.backbone.pretrained == str(folder / "generator")


def test_the_run_s_folder_stands_for_its_model(trained, pairs, tmp_path):
    _, folder = trained
    words = ["score", "--images", pairs.parent, "--prompts", "a red cube", "--model", folder / "run"]
    assert run(*words, "--out", tmp_path / "scores.csv", "--quiet") == 0


@pytest.mark.filterwarnings("ignore")  # its tokenizers know few words
def test_what_it_costs_is_measured(trained):
    case, folder = trained
    if case.config.family == "flux":  # that has no prompts without its long text encoder
        assert run("profile", folder / "run", "--rounds", 1, "--batch-sizes", 1, "--quiet") == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # numpy 2 in diffusers
def test_its_generator_is_aligned_by_it_into_a_lora_of_plain_diffusers(trained, tmp_path):
    case, folder = trained
    (tmp_path / "prompts.txt").write_text("\n".join([*PROMPTS, "a small table"]) + "\n")
    # A random prediction of noise takes none away, and latent rewards refuse what is left
    reward = ["high-frequency=-1", "--generator.pretrained", folder / "generator"] if case.predicts_noise else []
    words = ["align", "refl", "--reward", *(reward or [folder / "run"]), "--prompts", tmp_path / "prompts.txt"]
    quick = ["--steps", 1, "--generator.sampling-steps", 4, "--looks.sampling-steps", 4, "--batch-size", 2]
    side = ["--generator.resolution", 64] if case.config.family == "qwen-image" else []
    assert run(*words, "--out", tmp_path / "run", *quick, *side, "--quiet") == 0
    pipeline = case.pipeline()
    pipeline.load_lora_weights(tmp_path / "run" / "lora", adapter_name="mine")
    assert pipeline.get_active_adapters() == ["mine"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # numpy 2 in diffusers
def test_the_best_objective_distils_the_guidance_that_a_generator_has(place, tmp_path):
    case, folder = place
    config = own_best(str(folder / "generator"), "high-frequency=-1", resolution=64)
    guided = usual_settings(str(folder / "generator"), 64).guidance
    assert (config.generator.guidance, config.distill.guidance) == (1.0, max(guided, 1.0))
    if case.config.family not in {"sd3", "flux"}:  # tests/alignment/test_families.py has a guided teacher of each
        return
    assert (guided > 1) == (case.config.family == "sd3")
    (tmp_path / "prompts.txt").write_text("\n".join([*PROMPTS, "a small table"]) + "\n")
    words = ["align", "best", "--generator.pretrained", folder / "generator", "--reward", "high-frequency=-1"]
    quick = ["--generator.sampling-steps", 2, "--looks.sampling-steps", 2, "--batch-size", 2, "--looks.prompts", 1]
    told = tmp_path / "told.json"
    words += ["--prompts", tmp_path / "prompts.txt", "--out", tmp_path / "run", *quick, "--dry-run", "--quiet"]
    assert run(*words, "--json", told) == 0
    assert json.loads(told.read_text())["algorithm"] == "distill" and not (tmp_path / "run").exists()


def test_a_command_without_recipe_and_generator_says_which_there_are(capsys):
    assert run("align", "refl", "--prompts", "synthetic", "--out", "y") == 2
    assert "which run? accepted: --generator.pretrained FOLDER" in capsys.readouterr().err
    assert run("train", "--data", "x", "--out", "y") == 2
    assert "which run? accepted: --model.pretrained FOLDER" in capsys.readouterr().err
    assert run("align", "lpo", "--generator.pretrained", "synthetic", "--prompts", "synthetic", "--out", "y") == 2
    assert "--reward: what is to be learned is missing; accepted: latent:RUN" in capsys.readouterr().err


def test_a_setting_that_is_given_wins_and_others_follow_it(tiny_folder, capsys):
    words = ["--model.pretrained", tiny_folder, "--model.depth", 3, "--data", "x", "--out", "y", "--print-config"]
    assert run("train", *words) == 0
    printed = capsys.readouterr().out
    assert "name: own" in printed and "depth: 3" in printed and "visual_taps: [1, 2, 3]" in printed
    assert f"pretrained: {tiny_folder}" in printed


def test_a_file_of_settings_names_the_generator_too(tmp_path, capsys):
    case = next(case for case in CASES if case.config.family == "flux")
    folder = case.save(tmp_path / "generator")
    (tmp_path / "own.yaml").write_text(f"recipe: own\nmodel:\n  pretrained: {folder}\n  depth: 3\n")
    assert run("train", "--config", tmp_path / "own.yaml", "--data", "x", "--out", "y", "--print-config") == 0
    printed = capsys.readouterr().out
    assert "family: flux" in printed and "visual_taps: [1, 2, 3]" in printed and "width: 32" in printed
    align = f"recipe: own\nreward: [clip]\ngenerator:\n  pretrained: {folder}\n"
    (tmp_path / "align.yaml").write_text(align)
    words = ["--config", tmp_path / "align.yaml", "--prompts", "synthetic", "--out", "y", "--print-config"]
    assert run("align", "refl", *words) == 0
    printed = capsys.readouterr().out
    assert "resolution: 32" in printed and "prompt_length: 128" in printed and "guidance: 1.0" in printed


def test_a_folder_that_lies_here_is_remembered_whole(tiny_folder, monkeypatch):
    monkeypatch.chdir(tiny_folder.parent)
    assert own(tiny_folder.name).model.backbone.pretrained == str(tiny_folder)


def test_a_recipe_for_another_family_says_what_would_have_worked(place, pairs, tmp_path, capsys):
    case, folder = place
    if case.config.family == "sd3":
        return
    words = ["train", "paper-sd35m", "--model.pretrained", folder / "generator", "--data", pairs]
    assert run(*words, "--out", tmp_path / "run") == 2
    assert "accepted: the recipe own (or no recipe)" in capsys.readouterr().err


def test_a_folder_that_is_no_generator_is_refused_before_anything_is_read(tmp_path, capsys):
    assert run("train", "--model.pretrained", tmp_path, "--data", "x", "--out", tmp_path / "run") == 2
    assert "has no model_index.json, as a generator has" in capsys.readouterr().err


def test_help_is_given_all_the_same(tmp_path, capsys):
    assert run("train", "--model.pretrained", tmp_path / "none", "--help") == 0
    assert "--model.pretrained" in capsys.readouterr().out
