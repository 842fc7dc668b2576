"""Moments against analytic values, support, and reproducibility by the generator."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from dina_lrm.preference.distributions import (
    Beta,
    Constant,
    LevelDistribution,
    LogitNormal,
    Mode,
    Power,
    Timesteps,
    Uniform,
)
from dina_lrm.preference.noise_levels import NoiseLevelSampler


def logit_normal_moment(order: int, mu: float, s: float) -> float:
    return quad(lambda z: norm.pdf(z) / (1 + math.exp(-(mu + s * z))) ** order, -12, 12)[0]


def logit_normal_moments(mu: float, s: float) -> tuple[float, float]:
    mean = logit_normal_moment(1, mu, s)
    return mean, logit_normal_moment(2, mu, s) - mean**2


def mode_variance(s: float) -> float:
    """Of (1/2 - u)(1 + s) - (s / 2) cos(pi u), as cos^2(x / 2) = (1 + cos x) / 2; E[(1/2 - u) cos(pi u)] = 2 / pi^2."""
    return (1 + s) ** 2 / 12 - 2 * s * (1 + s) / math.pi**2 + s**2 / 8


_MOMENTS: list[tuple[LevelDistribution, float, float]] = [
    (Constant(0.3), 0.3, 0.0),
    (Uniform(), 1 / 2, 1 / 12),
    (Uniform(0.2, 0.6), 0.4, 0.16 / 12),
    (Power(2.0), 1 / 3, 1 / 5 - 1 / 9),
    (Power(0.5), 2 / 3, 1 / 2 - 4 / 9),
    (Beta(2.0, 3.0), 2 / 5, 6 / (25 * 6)),
    (Beta(0.5, 0.5), 1 / 2, 1 / 8),
    (LogitNormal(), 1 / 2, logit_normal_moments(0.0, 1.0)[1]),
    (LogitNormal(0.8, 1.0), *logit_normal_moments(0.8, 1.0)),
    (LogitNormal(-0.8, 0.5), *logit_normal_moments(-0.8, 0.5)),
    (Mode(0.0), 1 / 2, 1 / 12),
    (Mode(1.29), 1 / 2, mode_variance(1.29)),
    (Mode(-1.0), 1 / 2, mode_variance(-1.0)),
]
MOMENTS = [(NoiseLevelSampler(distribution), mean, variance) for distribution, mean, variance in _MOMENTS]
moment_cases = pytest.mark.parametrize(("sampler", "mean", "variance"), MOMENTS, ids=lambda value: str(value)[:28])
sampler_cases = pytest.mark.parametrize("sampler", [case[0] for case in MOMENTS], ids=str)


@moment_cases
def test_moments_of_the_transform_are_analytic(sampler: NoiseLevelSampler, mean: float, variance: float) -> None:
    midpoints = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    levels = sampler.from_uniform(midpoints)
    assert levels.mean().item() == pytest.approx(mean, abs=1e-5)
    assert levels.var(correction=0).item() == pytest.approx(variance, abs=1e-5)


@moment_cases
def test_moments_of_a_sample_are_analytic(sampler: NoiseLevelSampler, mean: float, variance: float) -> None:
    levels = sampler.sample(20_000, torch.Generator().manual_seed(0)).double()
    # Levels lie in [0, 1]: the variance of a squared deviation is at most 1/16.
    assert levels.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(variance / 20_000) + 1e-7)
    assert levels.var().item() == pytest.approx(variance, abs=4 * 0.25 / math.sqrt(20_000))


@sampler_cases
def test_levels_are_float32_in_the_unit_interval_at_both_ends(sampler: NoiseLevelSampler) -> None:
    levels = sampler.sample(1000, torch.Generator().manual_seed(1))
    assert levels.shape == (1000,)
    assert levels.dtype == torch.float32
    ends = sampler.from_uniform(torch.tensor([0.0, 1.0]))
    for values in (levels, ends):
        assert ((values >= 0) & (values <= 1)).all()


@sampler_cases
def test_the_generator_alone_decides(sampler: NoiseLevelSampler) -> None:
    first = sampler.sample(16, torch.Generator().manual_seed(5))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    again = sampler.sample(16, torch.Generator().manual_seed(5))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)
    generator = torch.Generator().manual_seed(5)
    sampler.sample(16, generator)
    if not isinstance(sampler.distribution, Constant):
        assert not torch.equal(first, sampler.sample(16, generator))


@sampler_cases
def test_the_transform_is_monotone(sampler: NoiseLevelSampler) -> None:
    steps = sampler.from_uniform(torch.linspace(0, 1, 1001, dtype=torch.float64)).diff()
    assert (steps >= -1e-12).all() or (steps <= 1e-12).all()


@given(mu=st.floats(-3, 3), s=st.floats(0.1, 2))
def test_logit_normal_is_normal_in_logits(mu: float, s: float) -> None:
    u = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    found = torch.logit(NoiseLevelSampler(LogitNormal(mu, s)).from_uniform(u))
    assert found.tolist() == pytest.approx(norm.ppf(u.numpy(), loc=mu, scale=s).tolist(), abs=1e-9)


def test_special_cases_are_uniform() -> None:
    u = torch.linspace(0, 1, 9, dtype=torch.float64)
    for distribution in (Uniform(), Power(1.0), Beta(1.0, 1.0)):
        torch.testing.assert_close(NoiseLevelSampler(distribution).from_uniform(u), u)
    torch.testing.assert_close(NoiseLevelSampler(Mode(0.0)).from_uniform(u), 1 - u)


def test_no_levels_are_no_levels() -> None:
    assert NoiseLevelSampler(Uniform()).sample(0, torch.Generator()).shape == (0,)
    with pytest.raises(ValueError, match=r"Uniform.sample: n: got -1"):
        NoiseLevelSampler(Uniform()).sample(-1, torch.Generator())


@sampler_cases
def test_a_sampler_survives_the_round_trip_through_a_dict(sampler: NoiseLevelSampler) -> None:
    assert NoiseLevelSampler.from_dict(sampler.to_dict()) == sampler


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "gaussian"}, r"accepted: constant, uniform, logit_normal, power, beta, mode"),
        ({"name": "logit_normal", "mean": 0.8}, r"unknown key 'mean'; .*accepted: mu, s"),
        ({"name": "logit_normal", "s": 0.0}, r"LogitNormal: s: got 0.0; accepted: a finite number above 0"),
        ({"name": "logit_normal", "mu": float("nan")}, r"mu: got nan; accepted: a finite number"),
        ({"name": "constant", "level": 1.5}, r"Constant: level: got 1.5; accepted: a number in \[0, 1\]"),
        ({"name": "uniform", "low": 0.7, "high": 0.2}, r"Uniform: \(low, high\): got \(0.7, 0.2\)"),
        ({"name": "mode", "scale": 2.0}, r"Mode: scale: got 2.0; accepted: a number in \[-1, 1.7519\]"),
        ({"name": "power", "exponent": 0}, r"Power: exponent: got 0.0"),
        ({"name": "beta", "alpha": -1}, r"Beta: alpha: got -1.0"),
    ],
)
def test_what_cannot_be_read_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoiseLevelSampler.from_dict(values)


def test_timesteps_are_those_of_lrm() -> None:
    levels = NoiseLevelSampler(Timesteps()).sample(5_000, torch.Generator().manual_seed(0))
    timesteps = (1000 * levels.unique() - 1).round().int().tolist()
    assert timesteps == list(range(1, 952, 50))
    assert NoiseLevelSampler(Timesteps(first=3.0, last=3.0)).sample(2, torch.Generator()).tolist() == pytest.approx(
        [0.004, 0.004]
    )
    for wrong in ({"first": 1.5}, {"first": 9.0, "last": 8.0}, {"last": 1000.0}, {"interval": 0.0}):
        with pytest.raises(ValueError, match="Timesteps"):
            Timesteps(**wrong)
