"""`evaluate-generator` on the bundled world: a LoRA of a real run, a LoRA that is nothing, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dina_lrm.cli.main import main
from dina_lrm.evaluation.generators.comparison import GeneratorComparison
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.samples import PicturePlan, StoredSamples, draw_samples
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.sampling.tuned import WEIGHTS
from dina_lrm.synthetic.world import bundled_pipeline
from dina_lrm.typed import to_plain
from tests.reports.page import Page

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
STEPS = 4


def generator(name="synthetic"):
    return Generator(bundled_pipeline(name), 32, rank=2, alpha=4.0, guidance=3.0)


def a_lora(folder, name="synthetic", size=0.05):
    """The folder of a run whose LoRA has weights of that size."""
    made = generator(name)
    torch.manual_seed(0)
    for parameter in made.parameters.values():
        parameter.data = size * torch.randn(parameter.shape)
    made.save_lora(folder / "lora")
    settings = GeneratorSettings(name, 32, 0, rank=2, sampling_steps=STEPS, guidance=3.0, precision="fp32")
    config = {"generator": to_plain(settings), "rewards": [to_plain(RewardTerm("latent:synthetic", noise_level=0.2))]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generators")
    a_lora(folder / "run")
    lines = ["Prompt\tCategory\tChallenge", "a small red ring on white\tRings\tBasic"]
    lines += ["two large blue bars on black\tBars\tBasic", "hard\tAnimals\tComplex"]
    (folder / "prompts.tsv").write_text("\n".join(lines) + "\n")
    return folder


def run(place, *words, tuned="run", prompts="prompts.tsv", out="out"):
    source = prompts if prompts == "synthetic" else place / prompts
    given = ["synthetic", place / tuned, "--prompts", source, "--out", place / out, "--images-per-prompt", "2", *words]
    return main(["evaluate-generator", *map(str, given)])


REWARDS = ("--rewards", "latent:synthetic,image:synthetic,sharpness,python:tests.rewards.functions.sometimes")


@pytest.fixture(scope="module")
def written(place):
    assert run(place, *REWARDS, "--json", place / "result.json", "--batch-size", "4") == 0
    return place / "out"


def test_the_result_is_whole_and_says_what_was_optimised(written, place):
    found = json.loads((written / "evaluation.json").read_text())
    result = GeneratorComparison.from_dict(found)
    assert result.optimised == ("latent:synthetic",) and result.settings["steps"] == str(STEPS)
    roles = {each.name: each.role for each in result.of_kind("reward")}
    assert roles == {
        "latent:synthetic": "optimised", "image:synthetic": "optimised", "sharpness": "held out",
        "python:tests.rewards.functions.sometimes": "held out",
    }  # fmt: skip
    assert {each.name for each in result.of_kind("attribute")} >= {"colour", "shape", "size", "count"}
    assert result.find("spatial") is None, "no prompt asks for a relation"
    assert result.find("sharpness").win_rate.n == 6
    assert result.find("diversity").base.n == 3 and result.find("diversity").win_rate is None
    groups = {(group.grouping, group.group): group for group in result.groups}
    assert set(groups) == {
        ("Category", "Rings"), ("Category", "Bars"), ("Category", "Animals"), ("Challenge", "Basic"),
        ("Challenge", "Complex"),
    }  # fmt: skip
    utility = {each.name: each for each in groups["Challenge", "Complex"].comparisons}["true utility"]
    assert utility.win_rate.n == 0 and utility.win_rate.missing == 2, "that is no caption of the synthetic world"
    assert json.loads((place / "result.json").read_text())["blocks_kept"] == 0


def test_missing_scores_are_counted_and_never_zero(written):
    result = GeneratorComparison.from_dict(json.loads((written / "evaluation.json").read_text()))
    sometimes = result.find("python:tests.rewards.functions.sometimes")
    assert sometimes.base.missing == 2 and sometimes.base.n == 4 and sometimes.base.value == 1
    assert sometimes.difference.missing == 2


def test_the_page_holds_tables_and_pictures_of_both_sides(written):
    page = Page((written / "report.html").read_text())
    assert "optimised" in page.text and "held out" in page.text and "Judged by the analytic oracle" in page.text
    assert len(page.images) == 6 and not page.unclosed
    assert (written / "gallery.png").is_file()


def test_the_same_command_draws_nothing_again_and_gives_the_same(written, place):
    before = json.loads((written / "evaluation.json").read_text())
    assert run(place, *REWARDS, "--json", place / "again.json", "--batch-size", "4", "--quiet") == 0
    again = json.loads((place / "again.json").read_text())
    assert again["blocks_kept"] == 4
    assert again["comparisons"] == before["comparisons"] and again["groups"] == before["groups"]


def test_a_side_is_what_plain_diffusers_makes_of_base_and_lora(written, place):
    prompts = ("a small red ring on white", "two large blue bars on black", "hard")
    plan = PicturePlan(prompts, 2, STEPS, 0, 4)
    block = next(iter(plan.blocks()))
    stored = {name: StoredSamples(written / "samples", name, plan).read(block) for name in ("base", "tuned")}
    assert not np.array_equal(stored["base"].images, stored["tuned"].images)
    pipeline, noise = bundled_pipeline(), generator().noise(plan.seeds(block))
    for name in stored:
        if name == "tuned":
            pipeline.load_lora_weights(place / "run" / "lora")
        images = pipeline(
            [plan.prompts[number] for number in block for _ in range(2)], num_inference_steps=STEPS, guidance_scale=3.0,
            height=32, width=32, max_sequence_length=0, latents=noise, output_type="np",
        ).images  # fmt: skip
        assert np.abs(np.round(images * 255) - stored[name].images.astype(float)).max() <= 1


def test_a_picture_depends_on_its_prompt_and_seed_alone_and_the_scale_is_that_of_diffusers(place):
    plan = PicturePlan(("a small red ring on white", "two large blue bars on black"), 2, STEPS, 3, 2)
    first, second = plan.blocks()
    made = generator()
    wide = PicturePlan(plan.prompts, 2, STEPS, 3, 4)
    whole = draw_samples(made, wide, next(wide.blocks()))
    with made.reference():
        parts = [draw_samples(made, plan, block).images for block in (first, second)]
    assert np.abs(np.concatenate(parts).astype(int) - whole.images).max() <= 1
    made.load_lora(place / "run" / "lora", 0.0)
    nothing = draw_samples(made, wide, next(wide.blocks()))
    assert np.array_equal(nothing.images, whole.images)


def test_a_lora_of_nothing_ties_everywhere_and_it_is_said(place, capsys):
    a_lora(place / "nothing", size=0.0)
    assert run(place, "--rewards", "sharpness", "--count", "2", tuned="nothing", out="ties", prompts="synthetic") == 0
    assert "4 of 4 pictures are the same on both sides" in capsys.readouterr().out


def test_a_second_generator_is_judged_too(place, capsys):
    words = ["evaluate-generator", "synthetic", "synthetic-unet", "--prompts", "synthetic", "--count", "2"]
    words += ["--out", str(place / "unet"), "--images-per-prompt", "1", "--steps", "2", "--rewards", "sharpness"]
    assert main([*words, "--json", str(place / "unet.json")]) == 0
    found = json.loads((place / "unet.json").read_text())
    assert found["optimised"] is None and found["comparisons"][0]["role"] == "unknown"
    assert "what was optimised is not known" in capsys.readouterr().out
    assert found["comparisons"][0]["win_rate"]["counted"] == 2
    words[-1], words[8] = "latent:synthetic", str(place / "latent")
    assert main(words) == 2
    assert "two generators have latents of their own; accepted: image:synthetic" in capsys.readouterr().err


def test_a_unet_and_its_lora_are_judged(place):
    a_lora(place / "unet-run", "synthetic-unet")
    words = ["evaluate-generator", "synthetic-unet", str(place / "unet-run" / "lora"), "--prompts", "synthetic"]
    words += ["--count", "2", "--images-per-prompt", "1", "--out", str(place / "unet-out"), "--json"]
    assert main([*words, str(place / "unet-lora.json")]) == 0
    found = json.loads((place / "unet-lora.json").read_text())
    assert found["optimised"] == ["latent:synthetic"] and found["notes"] == []


def test_a_lora_of_another_bundled_generator_is_refused_by_both_commands(place, capsys):
    lora = str(place / "run")
    for words in (
        ["evaluate-generator", "synthetic-uncurated", lora, "--prompts", "synthetic"],
        ["sample", "--generator", "synthetic-uncurated", "--lora", f"{lora}/lora", "--prompts", "a ring", "a bar"],
    ):
        assert main([*words, "--out", str(place / "wrong")]) == 2
        assert "the LoRA was trained on 'synthetic'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--images-per-prompt", "0"), "--images-per-prompt 0; accepted: whole numbers of at least 1"),
        (("--rewards", "sharpness,sharpness"), "names one twice"),
        (("--rewards", "nice"), "reward 'nice'; accepted:"),
        (("--count", "4"), "holds 3 prompts"),
        (("--prompts", "no.txt"), "there is no such file"),
        (("--lora-scale", "nan"), "--lora-scale nan; accepted: finite numbers"),
        (("--lora-scale", "inf"), "--lora-scale inf; accepted: finite numbers"),
        (("--rewards", "python:tests.rewards.functions.too_few"), "(1,) scores of 2 inputs; accepted: one an input"),
        (("--rewards", "image:nowhere/nothing"), "nowhere/nothing"),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(place, capsys, words, told):
    assert run(place, *words, out="refused") == 2
    assert told in capsys.readouterr().err
    assert not (place / "refused").exists()


def test_pictures_that_are_not_finite_have_no_scores_and_are_counted(place, capsys):
    tensors = load_file(a_lora(place / "nan") / "lora" / WEIGHTS)
    next(iter(tensors.values()))[:] = 1e38  # finite itself, as what a flipped bit of an exponent leaves
    save_file(tensors, place / "nan" / "lora" / WEIGHTS)
    assert run(place, "--rewards", "jpeg-size", "--json", place / "nan.json", tuned="nan", out="nan-out") == 1
    assert "none of the 6 pictures of the tuned generator is finite" in capsys.readouterr().err
    result = GeneratorComparison.from_dict(json.loads((place / "nan-out" / "evaluation.json").read_text()))
    assert "6 of 6 pictures of the tuned generator are not finite" in result.notes[0]
    for name in ("jpeg-size", "true utility", "edge_strength", "diversity"):
        found = result.find(name)
        assert found.tuned.n == 0 and found.difference.value is None, name
        assert found.base.n and found.ties == 0, name


def test_other_weights_of_the_same_name_are_no_longer_what_the_pictures_are_of(place, capsys, tmp_path):
    bundled_pipeline("synthetic-unet").save_pretrained(tmp_path / "base")
    words = ["evaluate-generator", tmp_path / "base", a_lora(tmp_path / "run", "synthetic-unet") / "lora", "--prompts"]
    words += ["synthetic", "--count", "2", "--images-per-prompt", "1", "--out", tmp_path / "out", "--quiet"]
    assert main([str(word) for word in words]) == 0
    a_lora(tmp_path / "run", "synthetic-unet", 0.1)
    assert main([str(word) for word in words]) == 2
    assert "holds pictures of other tuned; give another --out" in capsys.readouterr().err
    a_lora(tmp_path / "run", "synthetic-unet")
    (weights,) = (tmp_path / "base" / "unet").glob("*.safetensors")
    save_file({name: 1.01 * tensor for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    assert main([str(word) for word in words]) == 2
    assert "holds pictures of other base; give another --out" in capsys.readouterr().err


def test_a_folder_keeps_to_the_settings_of_its_pictures(written, place, capsys):
    assert run(place, "--batch-size", "4", "--seed", "1") == 2
    assert "holds pictures of other seed; give another --out" in capsys.readouterr().err


def test_loras_that_do_not_fit_are_refused(place, capsys, tmp_path):
    tensors = load_file(place / "run" / "lora" / WEIGHTS)

    def refused(name, changed, told):
        (tmp_path / name / "lora").mkdir(parents=True)
        save_file(changed, tmp_path / name / "lora" / WEIGHTS)
        assert run(place, tuned=tmp_path / name, out=name) == 2
        assert told in capsys.readouterr().err

    text = {name.replace("transformer.", "text_encoder.", 1): t for name, t in tensors.items()}
    refused("text", text, "holds no module of SD3Transformer2DModel")
    other = {name.replace("transformer_blocks.0", "transformer_blocks.77"): t for name, t in tensors.items()}
    refused("blocks", other, "not of SD3Transformer2DModel; accepted: a LoRA of it")
    refused("wide", {name: t.repeat(1, 2) for name, t in tensors.items()}, "which does not fit weights of")
    (tmp_path / "ended").mkdir()
    (tmp_path / "ended" / "metrics.jsonl").write_text("")
    assert run(place, tuned=tmp_path / "ended", out="ended") == 2
    assert "a run that has not ended" in capsys.readouterr().err
    shutil.copytree(place / "run", tmp_path / "odd")
    (tmp_path / "odd" / "config.json").write_text('{"rewards": [{"nome": "x"}], "generator": {}}')
    assert run(place, tuned=tmp_path / "odd", out="odd") == 2
    assert "not the config.json of an alignment run" in capsys.readouterr().err


def test_a_file_of_samples_that_is_not_whole_is_named(written, tmp_path):
    plan = PicturePlan(("a", "b", "c"), 2, STEPS, 0, 4)
    first, last = plan.blocks()
    whole = (written / "samples" / "tuned-00000.npz").read_bytes()
    (tmp_path / "tuned-00000.npz").write_bytes(whole[:-300])
    (tmp_path / "tuned-00002.npz").write_bytes(whole)
    stored = StoredSamples(tmp_path, "tuned", plan)
    with pytest.raises(ValueError, match=r"tuned-00000\.npz: cannot be read .*delete it, and it is drawn again"):
        stored.read(first)
    with pytest.raises(ValueError, match=r"tuned-00002\.npz: holds 4 pictures for 2; delete it"):
        stored.read(last)
