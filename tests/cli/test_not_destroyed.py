"""No command removes or writes over what this program did not make: it is refused by name, before any work."""

import json
import os
from pathlib import Path

import pytest

from dina_lrm.cli.main import main
from dina_lrm.console.common import CommandFailed
from dina_lrm.console.result import begin_json, keep_json

OUTPUTS = {
    "demo": (["demo"], "images/holiday.jpg"),
    "demo of another kind": (["demo"], "report.html"),
    "evaluate, page": (["evaluate", "sharpness", "--on", "synthetic:in_domain"], "report.html"),
    "evaluate, board": (["evaluate", "sharpness", "--on", "synthetic:in_domain"], "leaderboard.html"),
    "evaluate, numbers": (["evaluate", "sharpness", "--on", "synthetic:in_domain"], "evaluation.json"),
    "evaluate, plots": (["evaluate", "sharpness", "--on", "synthetic:in_domain"], "plots/mine.png"),
    "evaluate-generator": (["evaluate-generator", "synthetic", "synthetic", "--prompts", "synthetic"], "gallery.png"),
    "sample": (["sample", "--prompts", "a red ring"], "00-mine.png"),
    "sample curve": (["sample", "curve"], "curve.png"),
    "ablate": (["ablate", "depth"], "results.json"),
    "align study": (["align", "study", "hacking"], "plots/thesis.png"),
    "generate": (["synthetic", "generate", "--prompts", "2"], "comparisons.jsonl"),
    "judge": (["synthetic", "judge", "--prompts", "3", "--steps", "3", "--pairs", "3"], "README.md"),
    "pretrain": (["synthetic", "pretrain"], "generator/model_index.json"),
    "uncurate": (["synthetic", "uncurate"], "lora/README.md"),
    "calibrate": (["calibrate", "synthetic"], "config.json"),
    "train, numbers": (["train", "synthetic", "--data", "synthetic", "--synthetic-prompts", "4"], "metrics.jsonl"),
    "train, checkpoints": (
        ["train", "synthetic", "--data", "synthetic", "--synthetic-prompts", "4"],
        "checkpoints/step-1/state.json",
    ),
    "align, page": (["align", "refl", "synthetic", "--prompts", "synthetic"], "report.html"),
    "align, LoRA": (["align", "refl", "synthetic", "--prompts", "synthetic"], "lora/weights.safetensors"),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_somebody_has_in_the_folder_stays(name, tmp_path, capsys):
    words, file = OUTPUTS[name]
    out = tmp_path / "project"
    (out / file).parent.mkdir(parents=True)
    (out / file).write_text('{"three": "years of work"}')
    before = contents(tmp_path)
    assert main([*words, "--out", str(out), "--quiet"]) == 2
    assert "project" in capsys.readouterr().err.splitlines()[-1]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("command", [["ablate", "depth"], ["align", "study", "hacking"]])
def test_a_page_beside_the_folder_stays(command, tmp_path, capsys):
    (tmp_path / "thesis.md").write_text("# Years of work")
    assert main([*command, "--out", str(tmp_path / "thesis"), "--quiet"]) == 2
    assert "thesis.md: is there, and nothing in it says that this program wrote it" in capsys.readouterr().err
    assert contents(tmp_path) == {"thesis.md": b"# Years of work"}


@pytest.mark.parametrize("out", [".", "..", "link", "sub/..", "file", "link/to/nothing"])
def test_a_demonstration_takes_no_place_that_cannot_be_exchanged(out, tmp_path, monkeypatch):
    place = tmp_path / "here"
    (place / "sub").mkdir(parents=True)
    (place / "real").mkdir()
    (place / "real" / "mine").write_text("mine")
    (place / "link").symlink_to(place / "real")
    (place / "file").write_text("mine")
    monkeypatch.chdir(place)
    before = contents(tmp_path)
    assert main(["demo", "--out", out, "--prompts", "1"]) == 2
    if out != "link/to/nothing":
        assert main(["demo", "--out", out, "--quiet"]) == 2
    assert contents(tmp_path) == before and os.path.samefile(".", place)


@pytest.mark.parametrize("name", ["photo.jpg", "pairs.jsonl", "notes.txt", "model.safetensors", "table.csv"])
def test_a_result_takes_no_place_of_another_file(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(b"\xff\xd8 years of work")
    assert main(["doctor", "--json", str(tmp_path / name), "--quiet"]) == 2
    assert "holds something else than a result" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == b"\xff\xd8 years of work"


def test_a_result_takes_the_place_of_an_earlier_one(tmp_path):
    for name, text in (("r.json", "what an earlier run left"), ("r", '{"a": 1}'), ("empty.txt", "")):
        (tmp_path / name).write_text(text)
        begin_json(tmp_path / name)
        assert "error" in json.loads((tmp_path / name).read_text())


def test_a_plot_takes_no_place_of_a_picture(tmp_path, capsys):
    (tmp_path / "photo.png").write_bytes(b"\x89PNG years of work")
    assert main(["profile", "synthetic", "--plot", str(tmp_path / "photo.png"), "--quiet"]) == 2
    assert "photo.png" in capsys.readouterr().err
    assert (tmp_path / "photo.png").read_bytes() == b"\x89PNG years of work"


CONFIG = '{"three": "years of work"}'


@pytest.mark.parametrize("given", ["model", "table.csv", "other"])
def test_a_result_takes_no_place_of_a_file_that_the_command_works_with(given, tmp_path):
    (tmp_path / "model").mkdir()
    mine = [tmp_path / "model" / "config.json", tmp_path / "table.csv.settings.json", tmp_path / "table.json"]
    for path, text in zip(mine, (CONFIG, CONFIG, f"[{CONFIG}]"), strict=True):
        path.write_text(text)
    target = mine[("model", "table.csv", "other").index(given)]
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=f"--json .*{target.name}"):
        begin_json(target, [tmp_path / given])
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", [f"{CONFIG}\n{CONFIG}\n", f"[{CONFIG}]"])
def test_a_result_takes_no_place_of_rows(text, tmp_path):
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(ValueError, match="holds something else than a result"):
        begin_json(tmp_path / "rows.json")
    assert (tmp_path / "rows.json").read_text() == text


def test_a_result_in_the_folder_of_the_command_is_known_as_one(tmp_path):
    target = tmp_path / "out" / "r.json"
    for value in (1, 2):
        begin_json(target, [tmp_path / "out"])
        keep_json(target, {"value": value}, "toy", [tmp_path / "out"])
    assert json.loads(target.read_text()) == {"made_by": "dina-lrm toy", "value": 2}
    keep_json(target, {"error": "it failed"}, "toy", [tmp_path / "out"])
    begin_json(target, [tmp_path / "out"])


def test_a_result_takes_no_place_of_what_the_command_has_written(tmp_path):
    target = tmp_path / "out" / "config.json"
    begin_json(target, [tmp_path / "out"])
    target.parent.mkdir()
    target.write_text(CONFIG)
    with pytest.raises(CommandFailed, match="the command has written that file itself"):
        keep_json(target, {"value": 1}, "toy", [tmp_path / "out"])
    assert target.read_text() == CONFIG


@pytest.mark.parametrize("option", ["--problems=comparisons.jsonl", "--problems=red.png", None])
def test_a_list_of_problems_takes_no_place_of_data(option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    row = {"prompt": "p", "image_a": "red.png", "image_b": "gone.png", "preference": 1}
    Path("comparisons.jsonl").write_text(json.dumps(row) + "\n")
    Path("red.png").write_bytes(b"\x89PNG years of work")
    Path("comparisons.jsonl.problems.jsonl").write_text(CONFIG)
    before = contents(tmp_path)
    assert main(["data", "check", "comparisons.jsonl", *([option] if option else []), "--quiet"]) == 2
    assert "holds something else than problems" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_list_of_problems_takes_the_place_of_an_earlier_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("comparisons.jsonl").write_text('{"prompt": 1}\n')
    listed = []
    for _ in range(2):
        assert main(["data", "check", "comparisons.jsonl", "--problems", "listed", "--quiet"]) == 1
        listed.append(Path("listed").read_text())
    assert listed[0] == listed[1] and "prompt" in listed[0]
