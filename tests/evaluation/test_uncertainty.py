"""Table 4 by hand, its laws, and on a real model."""

import numpy as np
import pytest

from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.scoring import score_comparisons
from dina_lrm.evaluation.uncertainty import score_draws, uncertainty_of
from tests.evaluation.test_evaluate import READINGS, comparisons
from tests.models import tiny_reward_model

LEVEL = (Reading((0.4,)),)


def test_values_by_hand():
    # two pairs, four draws; the first is decided alike in 3 of 4, the second always
    first = np.array([[1.0, 5.0], [1.0, 5.0], [1.0, 5.0], [-1.0, 5.0]])
    second = np.zeros((4, 2))
    (row,) = uncertainty_of(np.stack([first, second], axis=1)[..., None], LEVEL)
    assert row.draws == 4
    assert row.vr_common == row.vr_independent == pytest.approx((0.25 + 0) / 2)
    assert row.margin == pytest.approx((0.5 + 5) / 2)
    assert row.variance == pytest.approx((1.0 + 0 + 0 + 0) / 4)


def test_what_a_draw_does_to_both_images_costs_common_noise_nothing():
    generator = np.random.default_rng(0)
    utility = generator.normal(size=(1, 2, 500))
    shared = 2 * generator.normal(size=(10, 1, 1)) * np.ones((10, 2, 500))
    (row,) = uncertainty_of((utility + shared)[..., None], LEVEL)
    assert row.vr_common == 0
    assert row.vr_independent > 0.1
    assert row.variance == pytest.approx(4, rel=1)


def test_draws_are_the_scores_of_their_seeds(tiny_folder):
    model = tiny_reward_model(tiny_folder)
    data = comparisons()
    drawn = score_draws(model, data, READINGS, draws=3, seed=5)
    for number in range(3):
        alone = score_comparisons(model, data, READINGS, seed=5 + number)
        np.testing.assert_allclose(drawn[number], np.stack([alone.first, alone.second]), atol=1e-6)
    assert all(row.variance > 0 for row in uncertainty_of(drawn, READINGS))
    with pytest.raises(ValueError, match="draws is 1; accepted: at least 2"):
        score_draws(model, data, READINGS, draws=1)


def test_antithetic_draws_are_a_noise_and_its_mirror_image(tiny_folder):
    model, data = tiny_reward_model(tiny_folder), comparisons()
    drawn = score_draws(model, data, READINGS, draws=4, seed=5, antithetic=True)
    for number, (seed, mirrored) in enumerate([(5, False), (5, True), (6, False), (6, True)]):
        alone = score_comparisons(model, data, READINGS, seed=seed, mirrored=mirrored)
        np.testing.assert_allclose(drawn[number], np.stack([alone.first, alone.second]), atol=1e-6)
    assert not np.allclose(drawn[0], drawn[1])
    with pytest.raises(ValueError, match="draws is 3; accepted: an even number"):
        score_draws(model, data, READINGS, draws=3, antithetic=True)
