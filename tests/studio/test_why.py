"""Why a score: every number is that of the model itself, and the maps and edits keep their laws."""

import numpy as np
import pytest
import torch
from PIL import Image

from dina_lrm import LatentRewardModel
from dina_lrm.reports.html import part_style, render_part
from dina_lrm.studio.why.edits import COLOURS, edits_of
from dina_lrm.studio.why.explanation import explain
from dina_lrm.studio.why.given import Reading, given_pair, scores_of_draws
from dina_lrm.studio.why.levels import level_curve
from dina_lrm.studio.why.maps import PictureMap, attention_map, gradient_map
from dina_lrm.studio.why.overlay import laid_over
from dina_lrm.studio.why.score import picture_score
from dina_lrm.studio.why.shown import chance_text, explanation_sections
from dina_lrm.studio.why.words import effects_of_edits, not_read
from dina_lrm.synthetic.sets import synthetic_comparisons
from dina_lrm.typed import DinaError

PROMPT = "two large red rings on white"
READING = Reading(draws=3, seed=5)


@pytest.fixture(scope="module")
def model():
    return LatentRewardModel.from_pretrained("synthetic")


@pytest.fixture(scope="module")
def pictures():
    return synthetic_comparisons("in_domain", 4, 0).images


@pytest.fixture(scope="module")
def pair(model, pictures):
    return given_pair(model, pictures[0], PROMPT)


def test_the_score_is_that_of_the_command_and_win_is_the_models_own(model, pictures, pair):
    other = given_pair(model, pictures[1], PROMPT)
    found = picture_score(model, pair, Reading(draws=1, seed=5), other)
    own = model.score([pictures[0], pictures[1]], PROMPT, seed=5)
    assert (found.raw, found.reference) == pytest.approx(own.tolist(), abs=1e-5)
    assert found.z == pytest.approx(float(model.normalize(own[0])), abs=1e-4) and found.deviation is None
    assert found.win == pytest.approx(
        float(model.win_probability(pictures[0], pictures[1], PROMPT, seed=5)[0]), abs=1e-5
    )
    turned = picture_score(model, other, READING, pair)
    assert turned.win + picture_score(model, pair, READING, other).win == pytest.approx(1, abs=1e-5)


def test_draws_are_those_of_following_seeds_at_every_level(model, pictures, pair):
    curve = level_curve(model, pair, READING, (0.2, 0.6))
    own = [[float(model.score(pictures[0], PROMPT, level, seed)) for level in (0.2, 0.6)] for seed in (5, 6, 7)]
    assert curve.scores == pytest.approx(np.array(own), abs=1e-4)
    assert curve.deviation == pytest.approx(np.std(own, axis=0, ddof=1), abs=1e-4)
    one = level_curve(model, pair, Reading(draws=1), (0.2,))
    assert one.deviation.tolist() == [0.0]
    many = scores_of_draws(model, pair, Reading(draws=17))
    assert len(many) == 17 and len(set(many.round(6))) == 17, "more draws than are scored together"


def test_the_gradient_map_is_the_slope_of_the_score(model, pair):
    """A step along the densest cell's own gradient moves the score by the length of that gradient."""
    reading = Reading(draws=1, seed=5)
    found = gradient_map(model, pair, reading)
    assert found.shares.shape == tuple(pair.latents.shape[-2:])
    assert found.shares.sum() == pytest.approx(1) and found.shares.min() >= 0
    latents = pair.latents.clone().float().requires_grad_(True)
    score = model.score_latents(latents, pair.conditioning, noise=reading.noise(latents))
    [gradient] = torch.autograd.grad(score.sum(), latents)
    length = gradient[0].norm(dim=0)
    assert found.shares == pytest.approx((length / length.sum()).numpy(), abs=1e-6)
    row, column = np.unravel_index(found.shares.argmax(), found.shares.shape)
    step, moved = 1e-3, latents.detach().clone()
    moved[0, :, row, column] += step * gradient[0, :, row, column] / length[row, column]
    change = model.score_latents(moved, pair.conditioning, noise=reading.noise(latents)) - score.detach()
    assert float(change) == pytest.approx(step * float(length[row, column]), rel=0.05)


def test_the_attention_map_has_a_share_for_each_token(model, pair):
    found = attention_map(model, pair, READING)
    assert found is not None and found.shares.sum() == pytest.approx(1) and found.shares.min() > 0
    height, width = pair.latents.shape[-2:]
    assert found.shares.shape == (height // 2, width // 2) and found.peak > 1
    wide = given_pair(model, Image.new("RGB", (64, 32), "red"), PROMPT)
    rows, columns = attention_map(model, wide, READING).shares.shape
    assert columns > rows, "a wide picture has a wide map"


def test_a_head_without_attention_has_no_map(model, pair, monkeypatch):
    monkeypatch.setattr(type(model.head), "visual_attention", lambda self, tokens: None)
    found = explain(model, pair.pixels, "a ring", reading=Reading(draws=1))
    assert found.attention is None and "no attention" in render_part(explanation_sections(found), "x")


def test_a_map_is_laid_over_its_picture():
    pixels = np.full((8, 12, 3), 128, np.uint8)
    nothing = laid_over(pixels, PictureMap(np.zeros((2, 3))))
    assert (nothing == 128).all() and PictureMap(np.zeros((2, 3))).peak == 0
    shares = np.zeros((2, 3))
    shares[0, 0] = 1
    over = laid_over(pixels, PictureMap(shares)).astype(int)
    assert over.shape == pixels.shape and PictureMap(shares).peak == 6
    assert np.abs(over[0, 0] - 128).max() > 40 and (over[-1, -1] == 128).all()


def test_every_word_is_left_out_once_and_colours_are_changed():
    edits = edits_of("A Red, ring - on  white")
    left = {edit.word: edit.text for edit in edits if edit.kind == "left out"}
    assert left == {
        "A": "Red, ring - on white", "Red,": "A ring - on white", "ring": "A Red, - on white",
        "on": "A Red, ring - white", "white": "A Red, ring - on",
    }  # fmt: skip
    colours = [(edit.word, edit.put) for edit in edits if edit.kind == "colour"]
    assert colours == [("Red,", other) for other in COLOURS[1:]] + [("white", other) for other in COLOURS[:-1]]
    assert next(edit.text for edit in edits if edit.put == "green") == "A green, ring - on white"
    assert next(edit.text for edit in edits_of("red")) == "" and edits_of("- !") == []
    assert len(edits_of("word " * 100, most=60)) == 60


def test_what_a_word_does_is_the_difference_of_two_scores(model, pictures, pair):
    found = effects_of_edits(model, pair, READING)
    changes = [abs(one.change.value) for one in found]
    assert changes == sorted(changes, reverse=True) and len(found) == len(edits_of(PROMPT))
    [ring] = [one for one in found if one.edit.word == "rings"]
    without = [float(model.score(pictures[0], "two large red on white", seed=seed)) for seed in (5, 6, 7)]
    before = [float(model.score(pictures[0], PROMPT, seed=seed)) for seed in (5, 6, 7)]
    assert ring.change.value == pytest.approx(np.mean(np.subtract(without, before)), abs=1e-4)
    assert ring.change.low < ring.change.value < ring.change.high


def test_what_was_not_read_is_said(model):
    whole = not_read(model, PROMPT)
    assert (whole.words, whole.read, whole.cut, whole.unread, whole.beyond) == (6, 6, None, None, "")
    long = not_read(model, "ring " * 300 + "and 猫")
    assert 0 < long.read < long.words == 302 and long.cut is not None
    assert long.beyond.endswith("and 猫") and len(long.beyond.split()) == long.words - long.read
    marked = not_read(model, "a ring <|endoftext|> on white")
    assert marked.unread is None or "control token" in marked.unread


def test_a_picture_is_named_as_it_was_fitted(model):
    given = given_pair(model, Image.new("RGB", (300, 100), "red"), PROMPT)
    assert "300 x 100 pixels was scaled and cropped" in given.notes[0]
    assert given.pixels.shape[1] > given.pixels.shape[0] and (given.pixels[:, :, 0] > 250).all()


@pytest.mark.parametrize(
    ("picture", "prompt", "reading", "told"),
    [
        (b"not a picture", PROMPT, Reading(draws=1), "not a readable image|cannot"),
        ("missing.png", PROMPT, Reading(draws=1), "no such image file"),
        (Image.new("RGB", (8, 8)), "  ", Reading(draws=1), "prompt"),
        (Image.new("RGB", (8, 8)), PROMPT, Reading(level=1.5, draws=1), "accepted"),
    ],
)
def test_what_cannot_be_explained_is_a_sentence(model, picture, prompt, reading, told):
    with pytest.raises((ValueError, FileNotFoundError), match=told):
        explain(model, picture, prompt, reading=reading)


@pytest.mark.parametrize("draws", [0, 65, True])
def test_draws_are_counted(draws):
    with pytest.raises(DinaError, match="whole numbers from 1 to 64"):
        Reading(draws=draws)


def test_the_page_has_everything_and_escapes_it(model, pictures):
    found = explain(model, pictures[0], "a <b>red</b> ring ${1} {{x}}", pictures[1], Reading(draws=2))
    page = render_part(explanation_sections(found), "why")
    for title in ("The score", "Where it lies", "What each word does", "Over noise levels", "P(win)", "Attention"):
        assert title in page
    assert "<b>red" not in page and "&lt;b&gt;red" in page and page.count("data:image/png") == 3
    assert 'id="why1-' in page and "figure1-" not in page
    style = part_style(".dark")
    assert style.startswith(".part {") and ".dark .part {" in style and "&#" not in style


@pytest.mark.parametrize(
    ("probability", "told"),
    [
        (0.0, "0 %"),
        (1e-9, "< 1 %"),
        (0.006, "1 %"),
        (0.5, "50 %"),
        (0.9949, "99 %"),
        (1 - 1e-9, "> 99 %"),
        (1.0, "100 %"),
    ],
)
def test_what_is_not_certain_is_not_called_so(probability, told):
    assert chance_text(probability) == told
    assert chance_text(float("nan")) == "unknown"
