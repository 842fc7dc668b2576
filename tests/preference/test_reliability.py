"""Reliability of win probabilities: bins hold every pair, sides do not matter, the floor is that of honest labels."""

import numpy as np
import pytest

from dina_lrm.preference.reliability import error_of_a_perfect_model, expected_error, folded, reliability_bins

RNG = np.random.default_rng(0)
CHANCE = RNG.uniform(size=1000)
WON = (RNG.uniform(size=1000) < CHANCE).astype(float)


def test_bins_partition_the_pairs():
    table = reliability_bins(CHANCE, WON, bins=7)
    assert sum(row.pairs for row in table) == 1000
    assert all(row.low <= row.confidence <= row.high for row in table)
    with pytest.raises(ValueError, match="bins is 0"):
        reliability_bins(np.array([0.5]), np.ones(1), bins=0)


def test_which_side_is_called_the_first_does_not_matter():
    for one, other in zip(folded(CHANCE, WON), folded(1 - CHANCE, 1 - WON), strict=True):
        assert one == pytest.approx(other)
    assert expected_error(reliability_bins(CHANCE, WON)) == pytest.approx(
        expected_error(reliability_bins(1 - CHANCE, 1 - WON))
    )


def test_labels_drawn_from_the_probabilities_have_the_error_of_the_floor():
    drawn = [(np.random.default_rng(seed).uniform(size=1000) < CHANCE).astype(float) for seed in range(200)]
    found = np.mean([expected_error(reliability_bins(CHANCE, labels)) for labels in drawn])
    assert found == pytest.approx(error_of_a_perfect_model(CHANCE), rel=0.1)
