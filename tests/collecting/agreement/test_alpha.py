"""Alpha equals a second formula, values computed elsewhere, and says nothing where it is not defined."""

from itertools import combinations

import numpy as np
import pytest

from dina_lrm.collecting.agreement.alpha import MISSING, alpha_of, coincidences, krippendorff
from dina_lrm.typed import DinaError


def from_pairs(answers, level):
    """Alpha from all pairs of answers, one by one: 1 - D_observed / D_expected."""
    units = [[one for one in unit if one != MISSING] for unit in answers.tolist()]
    units = [unit for unit in units if len(unit) > 1]
    every = [one for unit in units for one in unit]

    def distance(c, k):
        if level == "nominal":
            return float(c != k)
        low, high = min(c, k), max(c, k)
        between = sum(low <= one <= high for one in every)
        return (between - (every.count(low) + every.count(high)) / 2) ** 2

    number = len(every)
    observed = sum(2 * distance(c, k) / (len(unit) - 1) for unit in units for c, k in combinations(unit, 2))
    expected = sum(2 * distance(c, k) for c, k in combinations(every, 2))
    return 1 - (observed / number) / (expected / (number * (number - 1)))


@pytest.mark.parametrize(("level", "wanted"), [("ordinal", 0.7956), ("nominal", 0.4737)])
def test_alpha_of_four_units_by_hand(level, wanted):
    answers = np.array([[0, 0, 1], [2, 2, 2], [1, 2, 2], [0, 0, MISSING]])
    assert krippendorff(answers, level, 3).value == pytest.approx(wanted, abs=5e-5)


@pytest.mark.parametrize("level", ["ordinal", "nominal"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_all_pairs_one_by_one(level, seed):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, 30)
    answers = np.where(random.random((30, 5)) < 0.6, truth[:, None], random.integers(0, 4, (30, 5)))
    answers[random.random((30, 5)) < 0.4] = MISSING
    assert krippendorff(answers, level, 4).value == pytest.approx(from_pairs(answers, level), abs=1e-12)


def test_alpha_does_not_depend_on_who_answered_nor_on_the_order_of_units():
    random = np.random.default_rng(3)
    answers = random.integers(-1, 3, (40, 4))
    wanted = krippendorff(answers, "ordinal", 3).value
    shuffled = random.permuted(answers[random.permutation(40)], axis=1)
    assert krippendorff(shuffled, "ordinal", 3).value == pytest.approx(wanted, abs=1e-12)
    turned = np.where(answers == MISSING, MISSING, 2 - answers)
    assert krippendorff(turned, "ordinal", 3).value == pytest.approx(wanted, abs=1e-12)


def test_the_preferred_picture_first_hides_all_agreement():
    random = np.random.default_rng(0)
    right = random.random((400, 5)) < 0.9
    first = krippendorff((~right).astype(int) * 2, "ordinal", 3)
    coin = random.random(400) < 0.5
    mixed = krippendorff((right != coin[:, None]).astype(int) * 2, "ordinal", 3)
    assert abs(first.value) < 0.03 and mixed.value == pytest.approx(0.64, abs=0.03)
    assert first.low < first.value < first.high and mixed.low > 0.55


def test_the_interval_draws_prompts_and_there_is_none_of_few():
    random = np.random.default_rng(1)
    answers = random.integers(0, 3, (60, 3))
    alone = krippendorff(answers, "ordinal", 3)
    copied = krippendorff(np.repeat(answers, 4, axis=0), "ordinal", 3, [n // 4 for n in range(240)])
    apart = krippendorff(np.repeat(answers, 4, axis=0), "ordinal", 3)
    assert alone.n == copied.n == 60 and apart.n == 240
    assert copied.high - copied.low > 1.5 * (apart.high - apart.low)
    few = krippendorff(answers[:5], "ordinal", 3)
    assert few.value is not None and (few.low, few.high) == (None, None)


def test_alpha_is_not_defined_without_two_answers_or_without_two_kinds():
    for answers in (np.zeros((0, 2), int), np.array([[0, MISSING], [MISSING, 1]]), np.zeros((9, 3), int)):
        assert krippendorff(answers, "nominal", 2).value is None
    assert np.isnan(alpha_of(np.zeros((2, 2)), "ordinal"))
    with pytest.raises(DinaError, match=r"answers: got .*accepted: -1 to 2"):
        coincidences(np.array([[0, 3]]), 3)
