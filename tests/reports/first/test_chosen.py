"""Examples are spread over the gains, with both ends, and the page says which they are."""

import numpy as np

from dina_lrm.reports.first.chosen import by_gain, how_chosen

GAINS = np.array([0.3, -1.0, 2.0, np.nan, 0.0, 1.0])


def test_rows_stand_at_even_quantiles_with_the_lowest_and_the_highest():
    chosen = by_gain(GAINS, 3)
    assert chosen == [(1, "lowest gain"), (0, "gain above 50 % of pictures"), (2, "highest gain")]
    assert [row for row, _ in by_gain(GAINS, 99)] == [1, 4, 0, 5, 2]
    assert how_chosen(chosen, 6, "utility") == (
        "3 of 6 pictures by their gain in utility, from the lowest to the highest at even quantiles."
    )


def test_without_gains_rows_stand_at_even_distances():
    chosen = by_gain(np.full(5, np.nan), 3)
    assert chosen == [(0, ""), (2, ""), (4, "")]
    assert how_chosen(chosen, 5, "utility") == "3 of 5 pictures at even distances: none was picked."
    assert how_chosen(by_gain(GAINS[:1], 3), 1, "utility") == "The only picture."
    assert by_gain(GAINS[:1], 3) == [(0, "the only gain")]
