"""What a notebook shows: everything escaped, the best first, drawings that need nothing else."""

import json
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from dina_lrm import Run, ScoreStrip

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(4)]
BAD = "<script>alert(1)</script>"


def as_tree(html):
    return ElementTree.fromstring(f"<all>{html}</all>")


def test_a_strip_shows_the_best_first_and_what_has_no_score_last():
    strip = ScoreStrip(PICTURES, torch.tensor([0.5, math.nan, 2.0, 0.5]), ["a", "b", "c", "d"])
    assert strip.order == [2, 0, 3, 1]
    assert repr(strip) == "ScoreStrip of 4 pictures: +2.00, +0.50, +0.50, \u2013"
    figures = as_tree(strip._repr_html_()).findall(".//figure")
    assert ["".join(figure.itertext()) for figure in figures] == ["+2.00 c", "+0.50 a", "+0.50 d", "\u2013 b"]
    sources = [figure.find("img").get("src") for figure in figures]
    assert all(source.startswith("data:image/png;base64,") for source in sources) and len(set(sources)) == 4


def test_a_strip_says_what_it_does_not_show():
    strip = ScoreStrip(PICTURES, range(4), "a ring", most=2)
    assert repr(strip) == "ScoreStrip of 4 pictures for 'a ring': +3.00, +2.00 and 2 more that are not shown"
    assert strip._repr_html_().count("<img") == 2 and "and 2 more" in strip._repr_html_()


@pytest.mark.parametrize("captions", [BAD, [BAD, 'x" onerror="alert(1)', "\x1b[2J", "d"]])
def test_words_of_others_are_text_alone(captions):
    html = ScoreStrip(PICTURES, range(4), captions)._repr_html_()
    assert "<script" not in html and "\x1b" not in html and 'onerror="' not in html
    as_tree(html)


def test_pictures_are_taken_in_every_form_and_large_ones_are_reduced(tmp_path):
    large = Image.fromarray(RNG.integers(0, 256, (900, 600, 3), dtype=np.uint8))
    large.save(tmp_path / "large.png")
    html = ScoreStrip([tmp_path / "large.png", PICTURES[0], large], [1, 2, 3])._repr_html_()
    assert html.count("data:image/jpeg") == 2 and len(html) < 200_000


@pytest.mark.parametrize(
    ("images", "scores", "captions"), [(PICTURES, [1], ""), (PICTURES, range(4), ["a"]), (PICTURES[0], [], "")]
)
def test_a_strip_that_does_not_fit_is_refused(images, scores, captions):
    with pytest.raises(ValueError, match=r"ScoreStrip: \d images, \d scores"):
        ScoreStrip(images, scores, captions)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"train": {"name": BAD}, "data": {}}))
    lines = [{"step": step, "loss": 1 / step, "accuracy": None, "learning_rate": 0.1} for step in (1, 2, 4)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_a_run_tells_how_far_it_is_and_draws_what_it_logged(folder):
    run = Run(folder)
    assert (run.steps, run.measures, run.last) == (4, ["loss"], {"loss": 0.25})
    assert repr(run).endswith("4 steps; loss 0.25")
    html = run._repr_html_()
    assert "<svg" in html and "<script" not in html and "&lt;script&gt;" in html and "http" not in html.split("<svg")[0]
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    assert used and all(f"{name}:#" in html for name in used)  # the page around it defines none of them


def test_a_run_of_alignment_is_read_too(folder):
    (folder / "config.json").write_text(json.dumps({"algorithm": "refl", "name": "mine"}))
    (folder / "metrics.jsonl").write_text('{"step": 1, "reward": 0.5, "loss": 1.0}\n')
    run = Run(folder)
    assert run.measures == ["loss", "reward"] and "refl mine, 1 steps" in repr(run)


def test_a_run_that_has_not_begun_says_so(folder):
    (folder / "metrics.jsonl").unlink()
    run = Run(folder)
    assert run.steps == 0 and "svg" not in run._repr_html_()
    with pytest.raises(ValueError, match="nothing was logged yet"):
        run.curves()
    with pytest.raises(ValueError, match=r"no config\.json; accepted: the folder that train or align writes"):
        Run(folder / "nothing")
