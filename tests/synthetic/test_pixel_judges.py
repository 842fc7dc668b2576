"""Judges of pixels learn what they are shown, and order does not matter to them."""

import numpy as np
import pytest
import torch

from dina_lrm.synthetic.comparisons import training_comparisons
from dina_lrm.synthetic.pixel_judges import JUDGES, score_pictures, tokenized, train_pixel_judge


@pytest.mark.parametrize("kind", JUDGES)
def test_it_learns_a_few_pairs_by_heart(kind):
    data = training_comparisons(prompts=3, images=4, seed=0)
    before, after = (train_pixel_judge(kind, data, steps, seed=0, lr=2e-3) for steps in (1, 80))
    right = [
        np.mean((scores[data.pairs[:, 0]] > scores[data.pairs[:, 1]]) == (data.preference > 0.5))
        for scores in (score_pictures(model, data) for model in (before, after))
    ]
    assert right[1] > max(right[0], 0.85)


@pytest.mark.parametrize("kind", JUDGES)
def test_a_score_is_that_of_picture_and_prompt_alone(kind):
    data = training_comparisons(prompts=2, images=3, seed=1)
    model = train_pixel_judge(kind, data, 2, seed=0)
    np.testing.assert_allclose(score_pictures(model, data, 2), score_pictures(model, data), atol=1e-4)
    again = train_pixel_judge(kind, data, 2, seed=0)
    assert np.array_equal(score_pictures(again, data), score_pictures(model, data))


def test_prompts_with_their_sides_exchanged_are_told_apart():
    words = ["a large red bar above a small blue cross on white", "a small blue cross above a large red bar on white"]
    tokens = tokenized(words)
    assert sorted(tokens[0].tolist()) == sorted(tokens[1].tolist())
    torch.manual_seed(0)
    for kind in JUDGES:
        model = train_pixel_judge(kind, training_comparisons(2, 3, 0), 3, seed=0)
        scores = model(torch.zeros(2, 3, 32, 32), tokens)
        assert (scores[0] - scores[1]).abs() > 1e-6
