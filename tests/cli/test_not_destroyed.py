"""No command removes or writes over what this program did not make: it is refused by name, before any work."""

import json
import os
from pathlib import Path

import pytest

from dina_lrm.cli.main import main
from dina_lrm.cli.result import begin_json

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
