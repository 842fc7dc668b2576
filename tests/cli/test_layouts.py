"""Commands that read comparisons take a stranger's table as it is, say how it was read, and map its columns."""

import csv
import json

import pytest
import torch
from PIL import Image

from dina_lrm.cli.main import main
from dina_lrm.data.sources import read_comparisons, write_comparisons
from tests.models import tiny_reward_model

READ = "named.csv: read as chosen-rejected: prompt = title, preferred image = good, other image = bad; sides by a coin"
TINY = (
    "--model.depth 2 --model.visual-taps 1 2 --model.text-taps 1 2 --model.head.width 16 --model.head.queries 2 "
    "--model.head.attention-heads 2 --adaptation.rank 2 --steps 1 --batch-size 4 "
    "--compute.precision fp32 --log.trackers"
).split()


@pytest.fixture
def folder(tmp_path):
    """Six pictures, a table that names the preferred first, one with names of its own, and what both say in ours."""
    generator = torch.Generator().manual_seed(0)
    for number in range(6):
        pixels = torch.randint(0, 256, (32, 32, 3), generator=generator).to(torch.uint8)
        Image.fromarray(pixels.numpy()).save(tmp_path / f"{number}.png")
    rows = [(f"prompt {a}", f"{a}.png", f"{b}.png") for a, b in ((0, 1), (2, 1), (3, 4), (5, 0), (4, 2))]
    for name, columns in (("pairs", ("caption", "chosen", "rejected")), ("named", ("title", "good", "bad"))):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    write_comparisons(tmp_path / "ours.jsonl", read_comparisons(tmp_path / "pairs.csv"))
    return tmp_path


MAPPED = ("--columns", "prompt=title,chosen=good,rejected=bad")
TABLES = [("pairs.csv", ()), ("named.csv", MAPPED)]


@pytest.fixture
def run(folder):
    """Run a command of words; its exit code and what it wrote as JSON."""

    def command(*words):
        code = main([*map(str, words), "--json", str(folder / "result.json")])
        return code, json.loads((folder / "result.json").read_text())

    return command


@pytest.mark.parametrize(("table", "more"), TABLES)
def test_check_filter_and_prepare_read_it(table, more, folder, run, tiny_folder, capsys):
    code, found = run("data", "check", folder / table, "--strict", *more)
    assert (code, found["pairs"], found["problems"]) == (0, 5, {})
    assert found["layout"].startswith("read as chosen-rejected: prompt = ") and len(found["columns"]) == 3
    assert run("data", "filter", folder / table, *more, "--deduplicate", "--out", folder / "kept.jsonl")[0] == 0
    assert (folder / "kept.jsonl").read_text() == (folder / "ours.jsonl").read_text()
    words = ("prepare", folder / table, *more, "--backbone", tiny_folder, "--out", folder / "cache")
    assert run(*words)[1]["pairs"] == 5
    assert capsys.readouterr().err.count(": read as chosen-rejected: prompt = ") == 2


@pytest.mark.parametrize(("table", "more"), TABLES)
def test_evaluate_measures_the_same_as_on_ours(table, more, folder, run):
    _, ours = run("evaluate", "sharpness", "--on", folder / "ours.jsonl")
    _, found = run("evaluate", "sharpness", "--on", folder / table, *more)
    one, other = (each["results"][0]["sets"][0]["readings"] for each in (ours, found))
    assert one == other


def test_calibrate_measures_the_same_as_on_ours(folder, run, tiny_folder):
    tiny_reward_model(tiny_folder).save_pretrained(folder / "model")
    words = ("calibrate", folder / "model", "--on")
    found = [
        run(*words, folder / name, *how, "--out", folder / f"by-{name}")[1]
        for name, how in (("ours.jsonl", ()), ("named.csv", MAPPED))
    ]
    assert found[0]["temperature"] == found[1]["temperature"]


def test_train_reads_it_and_remembers_how(folder, run, tiny_folder, capsys):
    words = ("train", "synthetic", "--data", folder / "named.csv", "--out", folder / "run", *TINY)
    code, found = run(*words, *MAPPED, "--model.pretrained", tiny_folder)
    assert (code, found["pairs"], found["steps"]) == (0, 5, 1)
    assert READ in capsys.readouterr().err
    code, found = run(*words, "--columns", "prompt=title,chosen=bad,rejected=good", "--resume", "--steps", 2)
    assert code == 2 and "was changed since it was encoded" in found["error"]


def test_an_error_proposes_the_option_that_works(folder, run, tiny_folder):
    (folder / "half.csv").write_text((folder / "pairs.csv").read_text().replace("caption", "headline"))
    for words in (
        ("data", "filter", folder / "half.csv", "--deduplicate", "--out", folder / "kept.jsonl"),
        ("evaluate", "sharpness", "--on", folder / "half.csv"),
        ("prepare", folder / "half.csv", "--backbone", tiny_folder, "--out", folder / "cache"),
    ):
        code, found = run(*words)
        assert (code, "add --columns prompt=headline; found: headline, chosen" in found["error"]) == (2, True)
        assert run(*words, "--columns", "prompt=headline")[0] == 0


def test_check_says_which_layout_is_nearest(folder, run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (folder / "half.csv").write_text("chosen,rejected\n0.png,1.png\n")
    code, found = run("data", "check", folder / "half.csv")
    assert (code, found["columns"]) == (1, ["chosen", "rejected"])
    assert found["layout"] == "none; nearest is chosen-rejected (prompt, chosen, rejected), without: prompt"
    assert "none; nearest is chosen-rejected" in capsys.readouterr().out


def test_published_sets_know_their_own_columns(folder, run):
    code, found = run("data", "check", "hpdv3", "--path", folder, *MAPPED)
    assert code == 2 and "hpdv3 knows its own columns" in found["error"]
