"""Intervals cover what they promise, clustered or not."""

import numpy as np
import pytest
from scipy.stats import binomtest

from dina_lrm.evaluation.bootstrap import (
    bootstrap_interval,
    interval_of_mean,
    mean_interval,
    student_interval,
    wilson_interval,
)


def coverage(clustered: bool, trials: int = 200) -> float:
    """Share of simulated sets of 60 prompts x 5 pairs whose interval holds the true mean 0.7.

    All pairs of a prompt share its success probability, so that they are strongly correlated.
    """
    generator = np.random.default_rng(0)
    clusters = np.repeat(np.arange(60), 5)
    hits = 0
    for trial in range(trials):
        chance = generator.beta(0.7, 0.3, size=60)[clusters]  # mean 0.7, mostly near 0 or 1
        values = (generator.random(300) < chance).astype(np.float64)
        low, high = bootstrap_interval(values, clusters if clustered else None, resamples=200, seed=trial)
        hits += low <= 0.7 <= high
    return hits / trials


def test_clustered_interval_covers_where_the_plain_one_does_not() -> None:
    assert coverage(clustered=True) > 0.9
    assert coverage(clustered=False) < 0.8


@pytest.mark.parametrize(("size", "least"), [(5, 0.88), (8, 0.92), (16, 0.93)])
def test_few_observations_are_covered_too(size: int, least: float) -> None:
    generator = np.random.default_rng(0)
    found = [bootstrap_interval(generator.normal(size=size), seed=trial) for trial in range(1000)]
    assert np.mean([low <= 0 <= high for low, high in found]) > least


def test_agrees_with_the_normal_approximation() -> None:
    values = (np.random.default_rng(0).random(2000) < 0.8).astype(np.float64)
    low, high = bootstrap_interval(values, resamples=2000)
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert low == pytest.approx(values.mean() - half, abs=2e-3)
    assert high == pytest.approx(values.mean() + half, abs=2e-3)


def test_singleton_clusters_are_no_clusters_and_ids_are_only_names() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values, np.arange(50)) == bootstrap_interval(values)
    ids = np.repeat(np.arange(10), 5)
    assert bootstrap_interval(values, ids) == bootstrap_interval(values, ids * 1000 + 7)


def test_uncounted_values_change_nothing() -> None:
    values, ids = np.random.default_rng(0).random(40), np.repeat(np.arange(8), 5)
    padded = np.concatenate([values, [np.nan, np.nan]])
    assert bootstrap_interval(padded, np.append(ids, [3, 99])) == bootstrap_interval(values, ids)


def test_a_large_sample_is_resampled_in_chunks_to_the_same_law() -> None:
    values = np.random.default_rng(0).random(300_000)
    low, high = bootstrap_interval(values, resamples=40)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(values.size), rel=0.5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 8), (8, 8), (5, 9), (431, 512)])
def test_wilson_agrees_with_scipy(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high))


def test_refuses_what_has_no_interval() -> None:
    with pytest.raises(ValueError, match="none of 2 values is counted"):
        bootstrap_interval(np.full(2, np.nan))
    with pytest.raises(ValueError, match=r"confidence 1\.5"):
        bootstrap_interval(np.ones(3), confidence=1.5)
    with pytest.raises(ValueError, match="4 successes of 3 trials"):
        wilson_interval(4, 3)


@pytest.mark.parametrize("values", [[0.5], [0.2, 0.4, 0.9], [0.3, 0.3]])
def test_an_interval_needs_more_than_one_prompt_and_more_than_one_value(values):
    clusters = np.zeros(len(values), dtype=int) if len(set(values)) > 1 else np.arange(len(values))
    assert mean_interval(np.array(values), clusters) is None


def test_the_mean_of_an_interval_is_that_of_what_is_counted():
    found = interval_of_mean(np.array([1.0, np.nan, 3.0, np.nan]), np.array([0, 0, 1, 1]))
    assert (found.value, found.n, found.missing) == (2.0, 2, 2)
    assert (found.low, found.high) == mean_interval(np.array([1.0, 3.0]))
    assert interval_of_mean(np.array([0.5])).low is None


def test_few_prompts_have_students_interval_many_a_bootstraps_and_shares_stay_shares():
    values = np.array([0.1, 0.5, 0.4])
    assert mean_interval(values) == student_interval(values, np.arange(3))
    many = np.linspace(-1, 1, 30)
    assert mean_interval(many, seed=3) == bootstrap_interval(many, seed=3)
    assert mean_interval(np.array([0.0, 1.0]), share=True) == (0.0, 1.0)
    assert mean_interval(np.ones(2), share=True) == wilson_interval(2, 2)
    assert mean_interval(np.ones(50), share=True) == wilson_interval(50, 50)
