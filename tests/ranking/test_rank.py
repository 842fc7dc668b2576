"""A folder ranked: the order of the reward, a page, links that are replaced, and what was found counted."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from dina_lrm import rank
from dina_lrm.cli.main import main
from dina_lrm.rewards.heuristics import Colourfulness

GREYS = {"dull.png": 0, "some.png": 60, "bright.png": 200}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").mkdir()
    for name, spread in GREYS.items():
        pixels = np.full((20, 30, 3), 128, np.uint8)
        pixels[:, :15, 0] = 128 - spread // 2
        Image.fromarray(pixels).save(tmp_path / "f" / name)
    (tmp_path / "f" / "notes.pdf").touch()
    (tmp_path / "f" / "broken.png").write_bytes(b"none")
    return tmp_path / "f"


def test_pictures_stand_in_the_order_of_the_reward_and_links_follow(folder, tmp_path):
    found = rank("f", "colourfulness", out="best.html", links="best")
    assert Colourfulness().name == "colourfulness"
    assert [one.image for one in found.ranking.pictures] == ["bright.png", "some.png", "dull.png"]
    assert [one.percentile for one in found.ranking.pictures] == [100, 50, 0]
    assert sorted(os.listdir("best")) == [".dina-lrm.json", "0001-bright.png", "0002-some.png", "0003-dull.png"]
    assert (tmp_path / "best" / "0001-bright.png").samefile(folder / "bright.png")
    told = "\n".join(found.told())
    assert "no prompt and no captions: all pictures are scored for “a picture”" in told
    assert (
        "5 files and folders found; 1 left out: 1 called .pdf" in told
        and "1 without a score, such as broken.png" in told
    )
    again = rank("f", "jpeg-size", out="best.html", links="best")
    assert (again.summary.already, again.summary.scored) == (0, 3)
    assert any("began anew" in note for note in again.notes)
    assert os.readlink("best/0003-bright.png").endswith(os.path.join("f", "bright.png"))
    assert rank("f", "jpeg-size", out="best.html").summary.already == 3


def test_nothing_of_anybody_is_written_over(folder, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.txt").write_text("mine")
    for given, told in (
        ({"out": "mine.html"}, "mine.html"),
        ({"links": "links"}, "links: holds 'a.txt'"),
        ({"links": "f/best"}, "--links f/best: lies in f"),
    ):
        with pytest.raises(ValueError, match=told):
            rank("f", "sharpness", **{"out": "page.html", **given})
    assert (tmp_path / "mine.html").read_text() == "mine" and not (tmp_path / "page.html").exists()
    (tmp_path / "page.scores.csv").write_text("mine\n")
    with pytest.raises(FileExistsError, match=r"no page\.scores\.csv\.settings\.json says"):
        rank("f", "sharpness", out="page.html")


def test_many_small_pictures_are_files_beside_the_page(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("dina_lrm.reports.ranked.thumbnails.INSIDE_UP_TO", 2)
    found = rank("f", "sharpness", out="page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count('src="page-pictures/') == 3 and "data:image" not in page
    assert sorted(os.listdir("page-pictures"))[1:] == ["000001.png", "000002.png", "000003.png"]
    assert rank("f", "sharpness", out="page.html").summary.already == 3 and found.page.is_file()


def test_the_commands_say_it_and_write_it(folder, capsys):
    assert main(["rank", "f", "--model", "sharpness", "--prompt", "a ring", "--json", "r.json"]) == 0
    assert "page: ranking.html" in capsys.readouterr().out
    with open("r.json") as file:
        result = json.load(file)
    assert [one["rank"] for one in result["ranked"]] == [1, 2, 3] and result["without_score"][0][
        "image"
    ] == "broken.png"
    words = [
        "score",
        "--images",
        "f",
        "--model",
        "sharpness",
        "--prompts",
        "a ring",
        "--out",
        "s.csv",
        "--html",
        "p.html",
    ]
    assert main(words) == 1
    assert "page: p.html" in capsys.readouterr().out
    with open("p.html") as one, open("ranking.html") as other:
        cards = [text.read().split('<ol class="cards"')[1].split("</ol>")[0] for text in (one, other)]
    assert cards[0] == cards[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "nothing: no such folder"),
        (["f", "--prompt", " "], "--prompt: is empty"),
        (["f", "--out", "page.pdf"], "--out page.pdf: ends in '.pdf'"),
        (["f", "--batch-size", "0"], "--batch-size 0"),
        (["f", "--model", "sharpnes"], "sharpnes"),
        (["f", "--json", "f"], "--json f"),
        (["f", "--seed", "-1"], "--seed -1"),
    ],
)
def test_what_cannot_be_ranked_is_said(folder, words, told, capsys):
    assert main(["rank", *words]) == 2
    assert told in capsys.readouterr().err
