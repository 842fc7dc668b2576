"""A remote reward wherever a reward is named: what comes out is what the same model of this process gives."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from dina_lrm.cli.main import main
from dina_lrm.rewards.names import load_reward
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import GRPO, LPO, PROMPTS, a_generator, a_run

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
PROMPT = PROMPTS[0]
PAIRS = ((0, 1), (1, 0), (1, 2), (2, 1))


@pytest.fixture
def remote(address):
    return f"remote:{address}/dina"


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def comparisons(pictures):
    pairs = [[str(pictures / f"{number}.png") for number in pair] for pair in PAIRS]
    rows = [{"prompt": PROMPT, "image_a": a, "image_b": b, "preference": 1} for a, b in pairs]
    path = pictures.parent / "comparisons.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("config", [GRPO, pytest.param(LPO, marks=pytest.mark.slow)], ids=["flow-grpo", "lpo"])
def test_an_alignment_is_the_same_run_with_the_reward_elsewhere(remote, tmp_path, config):
    for name, reward in (("near", "latent:synthetic"), ("far", remote)):
        a_run(replace(config, steps=2, rewards=(RewardTerm(reward),)), tmp_path / name)
    near, far = metrics(tmp_path / "near"), metrics(tmp_path / "far")
    assert [row["reward"] for row in far] == pytest.approx([row["reward"] for row in near], abs=1e-5)
    assert [row["loss"] for row in far] == pytest.approx([row["loss"] for row in near], rel=1e-3)
    one, other = (load_file(tmp_path / name / "lora/pytorch_lora_weights.safetensors") for name in ("near", "far"))
    assert one.keys() == other.keys()
    for name, trained in one.items():
        torch.testing.assert_close(other[name], trained, rtol=1e-3, atol=1e-3)


def test_score_and_evaluate_and_filter_read_pictures(remote, pictures, comparisons, tmp_path, capsys):
    def table(model):
        out = tmp_path / f"{model.partition(':')[0]}.csv"
        words = ["--images", str(pictures), "--prompts", PROMPT, "--noise-level", "0.3", "--out", str(out), "--quiet"]
        assert main(["score", "--model", model, *words]) == 0
        return {row["image"]: float(row["score"]) for row in csv.DictReader(out.read_text().splitlines())}

    assert table(remote) == pytest.approx(table("image:synthetic"), abs=1e-5)

    def evaluated(model):
        words = ["--on", str(comparisons), "--out", str(tmp_path / "e"), "--json", str(tmp_path / "e.json"), "--quiet"]
        assert main(["evaluate", model, *words]) == 0
        (judged,) = json.loads((tmp_path / "e.json").read_text())["results"]
        return judged["sets"][0]["readings"][0]["accuracy"]["accuracy"]

    assert evaluated(remote) == 0.5
    out = tmp_path / "kept.jsonl"
    assert main(["data", "filter", str(comparisons), "--out", str(out), "--mpcf", "default", "--clip", remote]) == 0
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    scores = _scores(remote, pictures)
    given = [(f"{a}.png", f"{b}.png") for a, b in PAIRS]
    found = [(Path(row["image_a"]).name, Path(row["image_b"]).name) for row in kept]
    assert found == [(a, b) for a, b in given if scores[a] > scores[b]]
    assert "2 of 4 comparisons" in capsys.readouterr().out


def _scores(reward, pictures):
    paths = sorted(pictures.iterdir())
    images = [torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1) / 255 for path in paths]
    found = load_reward(reward)(torch.stack(images), [PROMPT] * len(images))
    return dict(zip([path.name for path in paths], found.tolist(), strict=True))


def test_a_sample_is_chosen_by_it(remote, tmp_path):
    def chosen(reward, out, *words):
        words = ["--prompts", PROMPT, "--steps", "3", "-n", "3", "--reward", reward, *words, "--quiet"]
        assert main(["sample", *words, "--out", str(out)]) == 0
        return json.loads((out / "samples.json").read_text())["samples"]

    near, far = chosen("latent:synthetic", tmp_path / "near"), chosen(remote, tmp_path / "far")
    assert [row["chosen"] for row in far] == [row["chosen"] for row in near]
    assert [row["score"] for row in far] == pytest.approx([row["score"] for row in near], abs=1e-5)


def test_a_mixture_may_hold_it(remote, tmp_path):
    generator = a_generator()
    told, x = generator.encode_prompts(PROMPTS), torch.randn(3, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for name in ("latent:synthetic", remote):
        file = tmp_path / f"{name.partition(':')[0]}.json"
        file.write_text(json.dumps([{"reward": name, "weight": 2.0, "mean": 0.5, "std": 3.0}]))
        found.append(load_reward(f"mixture:{file}", generator).bound_to(generator)(x, PROMPTS, 4, told))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_two_generators_are_judged_by_it(remote, tmp_path):
    rewards, out = f"image:synthetic,{remote}", tmp_path / "gain"
    words = ["--prompts", *[str(_prompts(tmp_path))], "--rewards", rewards, "--images-per-prompt", "1", "--quiet"]
    words += ["--steps", "2", "--out", str(out), "--json", str(tmp_path / "gain.json")]
    assert main(["evaluate-generator", "synthetic", "synthetic-uncurated", *words]) == 0
    found = {row["name"]: row for row in json.loads((tmp_path / "gain.json").read_text())["comparisons"]}
    near, far = found["image:synthetic"], found[remote]
    for side in ("base", "tuned"):
        assert far[side]["mean"] == pytest.approx(near[side]["mean"], abs=1e-4)


def _prompts(folder):
    path = folder / "prompts.txt"
    path.write_text("".join(f"{prompt}\n" for prompt in PROMPTS[:2]))
    return path


def test_what_needs_a_gradient_refuses_it_before_anything_is_loaded(tmp_path, capsys):
    nobody = ["--reward", "remote:http://me:secret@127.0.0.1:9/dina", "--out", str(tmp_path / "out"), "--quiet"]
    refl = ["align", "refl", "--generator.pretrained", "synthetic", "--prompts", "synthetic"]
    for words in (refl, ["sample", "--method", "guided", "--prompts", PROMPT]):
        assert main([*words, *nobody]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "remote:http://127.0.0.1:9/dina' has no gradient" in said
    assert not (tmp_path / "out").exists()
