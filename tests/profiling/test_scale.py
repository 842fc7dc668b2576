"""What a million to a billion pictures take: the formulas, and the tables of the page."""

import re

import pytest

from benchmarks.cost_model import COUNTS, SIDES, files, table
from dina_lrm.profiling.scale import ScaleSettings, scale
from tests.documents import ROOT


def test_bytes_are_those_of_the_layout_by_hand():
    given = ScaleSettings(pixels=512)
    assert given.latent_bytes == 2 * 16 * 64 * 64 == 131_072
    assert given.prompt_bytes == 1_363_968 + 4_096  # split, 205 tokens, and the pooled vector
    assert ScaleSettings(tokens=256).prompt_bytes == 2_412_544 + 4_096


def test_files_of_the_real_writer_are_as_large_as_the_formula_to_a_hundredth():
    assert files() == pytest.approx({"prompts": 1.0, "latents": 1.0}, abs=0.01)


@pytest.mark.parametrize(
    ("given", "told"),
    [({"share": 0.0}, "share"), ({"share": float("nan")}, "share"), ({"pixels": 500}, "pixels"), ({"gpu": "x"}, "GPU")],
)
def test_settings_that_mean_nothing_are_refused(given, told):
    with pytest.raises(ValueError, match=told):
        ScaleSettings(**given)


@pytest.mark.slow
def test_everything_grows_with_the_pictures_hours_with_the_share_and_the_page_says_so():
    one, ten = (scale(count, ScaleSettings(pixels=512)) for count in (10**6, 10**7))
    half = scale(10**6, ScaleSettings(pixels=512, share=0.25))
    for name in ("latent_bytes", "prompt_bytes", "encode_hours", "score_hours", "train_hours"):
        assert getattr(ten, name) == pytest.approx(10 * getattr(one, name))
    assert half.encode_hours == pytest.approx(2 * one.encode_hours)
    assert one.encode_hours < one.score_hours
    page = (ROOT / "docs" / "scaling.md").read_text()
    for side in SIDES:
        wanted = table([scale(count, ScaleSettings(pixels=side)) for count in COUNTS])
        assert re.sub(r" +", " ", wanted) in page
