"""Surprising pairs of a set, and a run as it stands, from real files that are still being written."""

import json

import pytest
from PIL import Image

from dina_lrm import LatentRewardModel
from dina_lrm.reports.html import render_part
from dina_lrm.studio.surprising import surprising_pairs
from dina_lrm.studio.watching import run_sections, stamp_of
from dina_lrm.synthetic.sets import synthetic_comparisons
from dina_lrm.typed import DinaError
from tests.reports.aligned import aligned_folder


@pytest.fixture(scope="module")
def model():
    return LatentRewardModel.from_pretrained("synthetic")


def test_a_pair_with_a_turned_label_is_a_surprise(model, tmp_path):
    """Labels that contradict the model's clear preference are found, the clearest first, with both pictures."""
    drawn, lines = synthetic_comparisons("in_domain", 30, 0), []
    for number, (a, b) in enumerate(drawn.pairs[:12]):
        for side, row in (("a", a), ("b", b)):
            Image.fromarray(drawn.images[row]).save(tmp_path / f"{number}{side}.png")
        caption = drawn.prompts[drawn.group[a]]
        win = float(model.win_probability(drawn.images[a], drawn.images[b], caption)[0])
        row = {
            "prompt": caption,
            "image_a": f"{number}a.png",
            "image_b": f"{number}b.png",
            "preference": float(win < 0.5),
        }
        lines.append(json.dumps(row))
    (tmp_path / "turned.jsonl").write_text("\n".join(lines) + "\n")
    sections, verdict = surprising_pairs(model, "synthetic", str(tmp_path / "turned.jsonl"), pairs=10)
    page = render_part(sections, "x", verdict)
    assert "The first 10 of 12 pairs" in page and page.count("data:image/png") == 2 * 8
    assert verdict.standing == -1, "it is wrong on every pair"


def test_sets_that_are_none_are_a_sentence(model):
    for on, pairs, told in (
        ("nowhere.jsonl", 5, "no such file"),
        ("synthetic", 5, "names .* sets"),
        ("synthetic:in_domain", 0, "1 to 2,000"),
    ):
        with pytest.raises(DinaError, match=told):
            surprising_pairs(model, "synthetic", on, pairs)


def test_a_training_is_shown_while_it_runs(tmp_path):
    with pytest.raises(DinaError, match=r"neither metrics\.jsonl nor monitor\.jsonl"):
        run_sections(tmp_path)
    with pytest.raises(DinaError, match="no such folder"):
        run_sections(tmp_path / "nowhere")
    file = tmp_path / "metrics.jsonl"
    assert stamp_of(tmp_path) == ((0, 0), (0, 0))
    file.write_text('{"step": 1, "loss": 0.7}\n{"step": 2, "loss": 0.6}\n{"step": 3, "lo')
    before = stamp_of(tmp_path)
    sections, verdict = run_sections(tmp_path)
    assert "Not finished: 2 steps" in verdict.text and "<svg" in render_part(sections, "x", verdict)
    with file.open("a") as more:
        more.write('ss": 0.5}\n')
    assert stamp_of(tmp_path) != before and "3 steps" in run_sections(tmp_path)[1].text


def test_an_alignment_is_shown_with_pictures_and_alarms(tmp_path):
    folder = aligned_folder(tmp_path / "aligned")
    (folder / "monitor.jsonl").rename(tmp_path / "later")
    (folder / "metrics.jsonl").touch()
    with pytest.raises(DinaError, match="has not looked at pictures yet"):
        run_sections(folder)
    (tmp_path / "later").rename(folder / "monitor.jsonl")
    sections, verdict = run_sections(folder)
    page = render_part(sections, "x", verdict)
    assert "Is the gain real?" in page and "data:image" in page and verdict.text
    assert "vote.html" not in page, "a page beside the report is none beside the studio"
