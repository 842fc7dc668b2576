"""Two judges on the same pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from dina_lrm.evaluation.accuracy import pairwise_accuracy
from dina_lrm.evaluation.paired import paired_difference, sign_test

LABELS = np.array([1.0, 1.0, 0.0, 0.0, 0.5, 1.0])
FIRST = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0])
SECOND = np.array([1.0, -1.0, 1.0, -1.0, -1.0, np.nan])


def test_values_by_hand():
    found = paired_difference(FIRST, SECOND, LABELS)
    assert (found.pairs, found.only_first, found.only_second) == (4, 2, 0)
    assert found.difference == pytest.approx(0.5)
    assert found.p_value == pytest.approx(binomtest(2, 2).pvalue)


def test_a_judge_is_not_ahead_of_itself():
    found = paired_difference(FIRST, FIRST, LABELS)
    assert (found.difference, found.low, found.high, found.p_value, found.decided) == (0, None, None, 1, False)


@given(st.integers(0, 1000))
def test_it_is_antisymmetric_and_the_difference_of_the_accuracies(seed):
    generator = np.random.default_rng(seed)
    labels = generator.choice([0.0, 0.5, 1.0, 0.8], 60)
    labels[0] = 1.0
    a, b = generator.normal(size=(2, 60)) + 0.4 * np.sign(labels - 0.5)
    prompts = np.arange(60) // 3
    there, back = paired_difference(a, b, labels, prompts), paired_difference(b, a, labels, prompts)
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    gap = pairwise_accuracy(a, labels).accuracy - pairwise_accuracy(b, labels).accuracy
    assert there.difference == pytest.approx(gap)
    assert there.p_value == back.p_value


def test_sharing_pairs_decides_what_two_intervals_cannot():
    generator = np.random.default_rng(0)
    labels = np.ones(2000)
    common = generator.normal(size=2000)
    a, b = common + 0.10, common
    one, other = pairwise_accuracy(a, labels), pairwise_accuracy(b, labels)
    assert one.low < other.high
    found = paired_difference(a, b, labels)
    assert found.decided and found.p_value < 1e-6


def test_nothing_in_common_and_different_lengths_are_refused():
    with pytest.raises(ValueError, match="none of 2 pairs is counted"):
        paired_difference(np.array([np.nan, 1.0]), np.array([1.0, np.nan]), np.ones(2))
    with pytest.raises(ValueError, match="one length"):
        paired_difference(np.ones(2), np.ones(2), np.ones(3))


@pytest.mark.parametrize(("ahead", "behind"), [(0, 0), (1, 0), (0, 5), (7, 7), (3, 9), (180, 221), (900, 1100)])
def test_the_sign_test_is_the_exact_binomial_test(ahead, behind):
    expected = 1.0 if ahead + behind == 0 else binomtest(ahead, ahead + behind).pvalue
    assert sign_test(ahead, behind) == sign_test(behind, ahead) == pytest.approx(expected, rel=1e-11)
