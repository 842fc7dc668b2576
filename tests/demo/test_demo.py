"""The demonstration at its smallest: every stage runs, and what it writes is whole."""

import json
import shutil
from pathlib import Path

import pytest

from dina_lrm.cli.main import main
from dina_lrm.demo.folder import _DAMAGED, write_ranking_folder
from dina_lrm.runs.ownership import check_replaceable
from dina_lrm.synthetic.defects import DEFECTS

pytestmark = pytest.mark.slow

SETS = {"in_domain", "unseen_compositions", "unseen_defects", "generated"}


@pytest.fixture(name="demo", scope="module")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "demo"
    arguments = [
        "demo",
        "--out",
        str(out),
        "--prompts",
        "100",
        "--pairs",
        "50",
        "--steps",
        "2",
        "--updates",
        "1",
        "--looked-at",
        "2",
        "--quiet",
    ]
    assert main([*arguments, "--json", str(out.parent / "result.json")]) == 0
    return out


def test_results_have_every_set_with_interval_ceiling_and_size(demo: Path) -> None:
    found = json.loads((demo / "results.json").read_text())
    assert found["seed"] == 0
    assert found["seconds"] > 0
    assert set(found["baselines"]) == {"frozen", "random_backbone"}
    for measured in (found["sets"], found["ensemble"], *found["baselines"].values()):
        assert set(measured) == SETS
        for numbers in measured.values():
            assert 0 <= numbers["low"] <= numbers["accuracy"] <= numbers["high"] <= 1
            assert 0.5 <= numbers["ceiling"] <= 1
            assert numbers["pairs"] == 50
    assert json.loads((demo.parent / "result.json").read_text())["sets"] == found["sets"]
    gain = found["alignment"]
    assert gain["updates"] == 1 and gain["pictures"] == 2
    change = gain["true_utility_after"] - gain["true_utility_before"]
    assert gain["gain"] == pytest.approx(change) and gain["gain_low"] <= change <= gain["gain_high"]


def test_the_page_shows_every_ranked_file(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    assert page.count("<img") >= 40
    assert page.count("before\nutility") == page.count("after\nutility") >= 2
    assert 'href="vote.html"' in page and 'class="verdict' in page and "as asked" in page
    assert "nothing</figcaption>" not in page
    assert "random_backbone" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert len(list((demo / "images").glob("*.png"))) == 36


def test_the_folder_holds_nothing_of_how_it_was_made(demo: Path) -> None:
    assert sorted(path.name for path in demo.iterdir()) == [
        ".dina-lrm.json",
        "images",
        "report.html",
        "results.json",
        "runs",
        "vote",
        "vote.html",
    ]
    assert [path.name for path in demo.parent.iterdir() if path.name.startswith(".")] == []
    for path in demo.rglob("*"):
        assert path.is_dir() or b".tmp" not in path.read_bytes() or path.suffix == ".png", path
    check_replaceable(demo, "demonstration")


@pytest.mark.parametrize("named", ["thesis.tex", "runs/mine/model.safetensors", "images/holiday.jpg", "work/notes"])
def test_a_folder_of_something_else_is_not_touched(
    tmp_path: Path, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / named).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / named).write_text("years of work")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert named in capsys.readouterr().err
    assert (tmp_path / named).read_text() == "years of work"


def test_a_demonstration_that_somebody_uses_is_not_touched(demo: Path, tmp_path: Path) -> None:
    used = tmp_path / "used"
    shutil.copytree(demo, used)
    check_replaceable(used, "demonstration")
    (used / "images" / "holiday.jpg").write_bytes(b"photo")
    assert main(["demo", "--out", str(used)]) == 2
    assert (used / "images" / "holiday.jpg").read_bytes() == b"photo"


def test_flaws_are_said_in_words(tmp_path: Path) -> None:
    table = (write_ranking_folder(tmp_path / "a", seed=1) / "prompts.csv").read_text()
    assert all(words in table for words in ("as asked", "slightly ", "very ", "wrong ")) and "nothing" not in table
    assert set(_DAMAGED) == set(DEFECTS)


def test_the_ranking_folder_is_a_function_of_its_seed(tmp_path: Path) -> None:
    first, again = (write_ranking_folder(tmp_path / name, seed=1) for name in ("a", "b"))
    assert (first / "prompts.csv").read_text() == (again / "prompts.csv").read_text()
    assert (first / "0-0.png").read_bytes() == (again / "0-0.png").read_bytes()
