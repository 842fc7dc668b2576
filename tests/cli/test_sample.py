"""`dina-lrm sample` on the bundled world: what it leaves, what it says, a LoRA, and what it refuses."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from dina_lrm.cli.main import main
from dina_lrm.generators.generator import Generator
from dina_lrm.synthetic.world import bundled_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
PROMPTS = ["a small red ring on white", "two large blue bars on black"]
QUICK = ["sample", "--prompts", *PROMPTS, "--steps", "3", "-n", "2"]


def sampled(folder, *words):
    assert main([*QUICK, "--out", str(folder), "--quiet", *words]) == 0
    return json.loads((folder / "samples.json").read_text())


def size_of(path):
    with Image.open(path) as image:
        return image.size


def test_it_leaves_pictures_a_sheet_and_all_that_was_measured(tmp_path, capsys):
    assert main([*QUICK, "--out", str(tmp_path / "out"), "--json", str(tmp_path / "result.json")]) == 0
    found = json.loads((tmp_path / "out" / "samples.json").read_text())
    told = capsys.readouterr().out
    assert "true utility: chosen" in told and "100 % of best-of-N's" in told
    for sample, prompt in zip(found["samples"], PROMPTS, strict=True):
        scores = [candidate["score"] for candidate in sample["candidates"]]
        assert sample["prompt"] == prompt and sample["score"] == max(scores) == scores[sample["chosen"]]
        assert sample["first score"] == pytest.approx(scores[0], abs=1e-3)
        assert sample["seed"] == sample["candidates"][sample["chosen"]]["seed"]
        assert size_of(tmp_path / "out" / sample["image"]) == (32, 32)
    assert size_of(tmp_path / "out" / "sheet.png")[0] > 200
    assert found["compute"]["spent"] == {
        "generator": 2 * 2 * 2 * 3, "reward": 4, "reward_gradient": 0, "head": 0, "decoder": 2,
    }  # fmt: skip
    assert found["true utility"]["chosen"]["n"] == 2
    gain = np.mean([sample["true utility"] - sample["first true utility"] for sample in found["samples"]])
    assert found["true utility"]["gain"]["mean"] == pytest.approx(gain)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == {key: value for key, value in found.items() if key != "arguments"}
    assert main([*QUICK, "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert "holds samples already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "share"),
    [
        (["--method", "pruned", "--prune", "1:1", "--reading", "noisy"], (0.5, 1.0)),
        (["--method", "pruned", "--prune", "0.7:within=0"], (0.5, 1.0)),
        (["--method", "guided"], (1.1, 3.0)),
        (["--method", "guided", "--reward", "jpeg-size", "--guide", "latent:synthetic", "sharpness=-0.1"], (1.1, 9.0)),
        (["--method", "noise-search", "--width", "1"], (1.0, 1.0)),
    ],
)
def test_every_method_runs_and_says_its_share_of_the_compute(tmp_path, words, share):
    found = sampled(tmp_path / "out", *words)
    assert share[0] <= found["compute"]["share of best-of-n"] <= share[1]
    if "pruned" in words:
        dropped = [c["score"] for sample in found["samples"] for c in sample["candidates"] if c["score"] is None]
        assert len(dropped) == 2


def test_a_lora_as_align_writes_it_is_sampled_with_and_scale_0_is_without(tmp_path):
    tuned = Generator(bundled_pipeline(), 32, 4, 8.0, 0, 3.0, seed=1)
    with torch.no_grad():
        for name, parameter in tuned.parameters.items():
            if "lora_B" in name:
                parameter.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    tuned.save_lora(tmp_path / "lora")
    plain = sampled(tmp_path / "plain")
    with_lora = sampled(tmp_path / "with", "--lora", str(tmp_path / "lora"))
    # The folder above it will do, as that of a run
    off = sampled(tmp_path / "off", "--lora", str(tmp_path), "--lora-scale", "0")

    def scores(found):
        return [candidate["score"] for sample in found["samples"] for candidate in sample["candidates"]]

    assert scores(off) == pytest.approx(scores(plain), abs=1e-3)
    assert max(abs(a - b) for a, b in zip(scores(with_lora), scores(plain), strict=True)) > 0.05
    seed = with_lora["samples"][0]["candidates"][0]["seed"]
    conditioning = tuned.encode_prompts(PROMPTS[:1])
    wanted = tuned.images(tuned.denoise(tuned.noise([seed]), conditioning, tuned.levels(3)))[0]
    if with_lora["samples"][0]["chosen"] == 0:
        found = np.asarray(Image.open(tmp_path / "with" / "0000.png")).astype(float)
        assert np.abs(found - 255 * wanted.detach().permute(1, 2, 0).numpy()).max() <= 1.01


def test_prompts_of_another_world_have_no_truth(tmp_path, capsys):
    words = ["sample", "--prompts", "a red ring", "--steps", "3", "-n", "1", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "true utility: unknown" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "samples.json").read_text())["true utility"] is None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["-n", "0"], "n: got 0"),
        (["--prompt-count", "0", "--prompts", "synthetic"], "--prompt-count 0"),
        (["--prompts", "nowhere.txt"], "there is no such file"),
        (["--prompts", "a ring", ""], "prompt 1 is empty"),
        (["--prompts", ""], "prompt 0 is empty"),
        (["--prompts", "prompts.md"], "there is no such file"),
        (["--prompts", "a ring", "prompts.txt"], "prompts.txt: names a file among several prompts"),
        (["--reading", "noisy"], "--reading with --method best-of-n: accepted with --method pruned"),
        (["--strength", "3"], "--strength with --method best-of-n: accepted with --method guided"),
        (["--method", "guided", "--width", "1"], "--width with --method guided: accepted with --method noise-search"),
        (["--generator", "synthetic-unet"], "A reward of another family reads pictures, as image:MODEL"),
        (["--guidance", "-1"], "generator.guidance: got -1"),
        (["--prompts", "a small red ring right of a large blue bar " * 5], "longer than the text encoders read"),
        # Longer than a name of a file may be
        (["--prompts", "a small red ring right of a large blue bar " * 9], "longer than the text encoders read"),
        (["--prompts", "a ring", "a small red ring right of a large blue bar " * 9], "longer than the text encoders"),
        (["--prune", "1:1"], "--prune with --method best-of-n"),
        (["--method", "pruned", "--prune", "1:3"], "keep: got 3; accepted: at most 2"),
        (["--method", "pruned", "--prune", "3:1"], "step: got 3; accepted: at most 2"),
        (["--method", "pruned", "--prune", "0.0001:1"], "cut at noise level 0.0001"),
        (["--method", "pruned", "--prune", "half:1"], "AT:KEEP or AT:within=MARGIN"),
        (["--method", "pruned", "--reading", "in-pass"], "needs a pass of its own"),
        (["--method", "pruned", "--reading", "noisy", "--reward", "sharpness"], "accepted: one reward latent:MODEL"),
        (["--method", "guided", "--reward", "jpeg-size"], "has no gradient"),
        (["--method", "guided", "--guide", "jpeg-size"], "has no gradient"),
        (["--guide", "sharpness"], "--guide with --method best-of-n: accepted with --method guided"),
        (["--method", "guided", "--strength", "0"], "strength: got 0.0"),
        (["--method", "noise-search", "--width", "3"], "a divisor of n = 2"),
        (["--reward", "nothing"], "reward 'nothing'"),
        (["--lora", "nowhere"], "holds no LoRA; accepted"),
    ],
)
def test_bad_input_exits_with_2_and_says_what_is_accepted(tmp_path, capsys, words, error):
    assert main([*QUICK, "--out", str(tmp_path / "out"), *words]) == 2
    assert error in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_in_is_refused_before_anything_is_sampled(tmp_path, capsys):
    file = tmp_path / "file.txt"
    file.write_text("kept")
    for out in (file, file / "inside"):
        assert main([*QUICK, "--out", str(out)]) == 2
        assert "file.txt is a file; accepted: a folder, or a new name" in capsys.readouterr().err
    assert file.read_text() == "kept"


def test_a_lora_of_something_else_is_refused(tmp_path, capsys):
    Generator(bundled_pipeline("synthetic-unet"), 32, 2, 4.0, 0, 3.0).save_lora(tmp_path / "lora")
    assert main([*QUICK, "--out", str(tmp_path / "out"), "--lora", str(tmp_path / "lora")]) == 2
    assert "not of SD3Transformer2DModel; accepted: a LoRA of it" in capsys.readouterr().err
