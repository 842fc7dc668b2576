"""The command `score`: what is left out, changed or at fault is in its output, its result and its exit code."""

import json

import pytest
from PIL import Image

from dina_lrm.cli.main import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, colour in (("0.png", "red"), ("1.png", "blue"), ("10.png", "green"), ("2.png", "black")):
        (tmp_path / "f").mkdir(exist_ok=True)
        Image.new("RGB", (32, 32), colour).save(tmp_path / "f" / name)
    (tmp_path / "f" / "photo.heic").touch()
    return tmp_path / "f"


def score(*words):
    code = main(["score", "--images", "f", "--model", "synthetic", "--out", "s.csv", *words, "--json", "r.json"])
    with open("r.json") as file:
        return code, json.load(file)


def test_what_was_found_is_read_or_left_out_and_what_changed_is_said(folder, capsys):
    code, result = score("--prompts", "a red square")
    assert (code, result["rows"], result["found"], result["left_out"]) == (0, 4, 5, {"called .heic": 1})
    assert "1 left out: 1 called .heic (such as photo.heic)" in capsys.readouterr().out
    Image.new("RGB", (64, 20), "red").save(folder / "1.png")
    code, result = score("--prompts", "a red square")
    assert (code, result["already"], result["scored"], result["changed"], result["resized"]) == (0, 3, 1, 1, 1)
    told = capsys.readouterr().out
    assert "1 picture: changed since scored" in told and "1 picture: resized or cropped" in told


def test_a_generator_in_the_place_of_another_is_no_resumption(folder, tmp_path, capsys):
    import shutil

    from dina_lrm.locate import BUNDLED

    shutil.copytree(BUNDLED["synthetic"]["generator"], tmp_path / "generator")
    words = ["--prompts", "a red square", "--backbone", "generator"]
    assert score(*words)[0] == 0
    assert score("--prompts", "a red square")[1]["already"] == 4  # the same one in another place
    scheduler = tmp_path / "generator" / "scheduler" / "scheduler_config.json"
    values = json.loads(scheduler.read_text())
    scheduler.write_text(json.dumps(values | {"num_train_timesteps": 999}))
    code, result = score(*words)
    assert code == 2 and "holds scores made with other settings: generator was" in result["error"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--prompts", "promts.txt"], "promts.txt: there is no such file"),
        (["--prompts", "f"], "prompts f: is a folder"),
        (["--prompts", "a ring", "--batch-size", "0"], "--batch-size: batch_size is 0"),
        (["--prompts", "a ring", "--seed", str(2**64)], "--seed 18446744073709551616"),
        (["--prompts", "a ring", "--noise-level", "nan"], "--noise-level nan"),
        (["--prompts", "caf\udce9"], "prompts caf\\xe9: holds bytes that are no UTF-8"),
        (["--prompts", "a ring", "--out", "/proc/s.csv"], "--out /proc/s.csv: nothing can be written in /proc"),
        (["--prompts", "a ring", "--out", "f"], "f: unknown format ''"),
        (["--prompts", "a ring", "--out", "f/0.png/s.csv"], "0.png is a file"),
    ],
)
def test_what_cannot_work_is_refused_before_the_model_is_loaded(folder, words, told, monkeypatch):
    monkeypatch.setattr("dina_lrm.reward_model.model.LatentRewardModel.from_pretrained", None)
    code, result = score(*words)
    assert code == 2 and told in result["error"]
