"""Captions and prompts are the same thing in two forms."""

import numpy as np
import pytest

from dina_lrm.synthetic.captions import prompt_of, true_parts
from dina_lrm.synthetic.draws import Draw, render_draws
from dina_lrm.synthetic.oracle import oracle_parts
from dina_lrm.synthetic.scene import realise, sample_prompt


def test_every_caption_is_read_back_as_its_prompt() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        prompt = sample_prompt(rng)
        assert prompt_of(prompt.caption()) == prompt


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a photo of a cat",
        "a small red rings on gray",
        "two small red ring on gray",
        "two small red rings above a large blue bar on gray",
        "a small red ring above a large blue bars on gray",
        "a small red ring on gray, masterpiece",
        "A small red ring on gray",
        "a small red ring  on gray",
    ],
)
def test_other_texts_are_no_captions(text: str) -> None:
    assert prompt_of(text) is None


def test_pictures_of_other_texts_and_sizes_have_no_true_utility() -> None:
    rng = np.random.default_rng(1)
    prompts = [sample_prompt(rng) for _ in range(4)]
    images = render_draws([Draw(prompt, realise(prompt, rng)) for prompt in prompts], rng)
    captions = [prompt.caption() for prompt in prompts]
    expected = oracle_parts(images, prompts)
    np.testing.assert_array_equal(true_parts(images, captions), expected)
    mixed = true_parts(images, [captions[0], "a cat", captions[2], captions[3]])
    np.testing.assert_array_equal(mixed[[0, 2, 3]], expected[[0, 2, 3]])
    assert np.isnan(mixed[1]).all()
    assert np.isnan(true_parts(images.repeat(2, axis=1).repeat(2, axis=2), captions)).all()
