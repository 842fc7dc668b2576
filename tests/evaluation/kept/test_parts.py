"""What an evaluation kept is taken again only for the same pictures, labels and judge, and only when it is whole."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dina_lrm.cli.main import main
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import write_comparisons
from dina_lrm.evaluation.kept.parts import content_of_judge
from dina_lrm.rewards.contents import content_of_reward
from tests.models import tiny_reward_model


def picture(path, seed, fine):
    """Noise, sharp where it is fine."""
    size = (32, 32) if fine else (4, 4)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = []
    for number in range(3):
        picture(f"a{number}.png", number, fine=True)
        picture(f"b{number}.png", number, fine=False)
        pairs.append(Comparison(f"prompt {number}", f"a{number}.png", f"b{number}.png", 1.0))
    write_comparisons("pairs.jsonl", pairs)
    return tmp_path


def accuracy(out="out", judge="sharpness"):
    assert main(["evaluate", judge, "--on", "pairs.jsonl", "--out", out, "--json", "r.json", "--quiet"]) == 0
    (result,) = json.loads(Path("r.json").read_text())["results"]
    return result["sets"][0]["readings"][0]["accuracy"]["accuracy"]


def parts(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "out" / "parts").glob("*.json")}


def test_pictures_drawn_anew_and_labels_turned_round_are_measured_anew(folder):
    assert accuracy() == 1.0
    before = parts(folder)
    assert accuracy() == 1.0
    assert parts(folder) == before
    for number in range(3):
        picture(f"a{number}.png", number, fine=False)
        picture(f"b{number}.png", number, fine=True)
    assert accuracy() == 0.0 == accuracy("fresh")
    write_comparisons("pairs.jsonl", [Comparison(f"prompt {n}", f"a{n}.png", f"b{n}.png", 0.0) for n in range(3)])
    assert accuracy() == 1.0


def measured(part):
    """What a part says, but for the time it took."""
    return json.loads(part.read_text())["result"] | {"seconds": None}


@pytest.mark.parametrize("damage", ["result", "margins", "cut"])
def test_a_part_that_is_not_what_was_written_is_measured_again(folder, damage):
    accuracy()
    (result,) = (folder / "out" / "parts").glob("*.json")
    whole, told = result.read_text(), measured(result)
    if damage == "result":
        result.write_text(whole.replace('"pairs": 3', '"pairs": 30', 1))
    elif damage == "margins":
        np.savez_compressed(result.with_suffix(".npz"), margins=-np.ones(3))
    else:
        result.write_text(whole[:100])
    assert accuracy() == 1.0
    assert measured(result) == told


def test_a_judge_is_known_by_what_it_computes(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    (folder / "judged_by.py").write_text("def dark(images, prompts):\n    return -images.mean(dim=(1, 2, 3))\n")
    from dina_lrm.rewards.names import load_reward

    one = content_of_reward(load_reward("python:judged_by.dark"))
    assert one == content_of_reward(load_reward("python:judged_by.dark"))
    (folder / "judged_by.py").write_text("def dark(images, prompts):\n    return images.mean(dim=(1, 2, 3))\n")
    assert one != content_of_reward(load_reward("python:judged_by.dark"))
    assert one != content_of_reward(load_reward("sharpness"))


def test_a_latent_judge_is_known_by_its_weights_and_its_generators(tiny_folder):
    model = tiny_reward_model(tiny_folder)
    first = content_of_judge(model)
    assert first == content_of_judge(tiny_reward_model(tiny_folder))
    for module in (model.head, model.backbone):
        parameter = next(iter(module.parameters()))
        kept = parameter.data.clone()
        parameter.data += 1
        assert content_of_judge(model) != first
        parameter.data.copy_(kept)
    assert content_of_judge(model) == first
