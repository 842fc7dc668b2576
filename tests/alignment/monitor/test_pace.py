"""The pace of the golden reward: a parabola's slopes, tested as least squares tests them, blind to scale and shift."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from dina_lrm.alignment.monitor.alarm import AlarmSettings, History, Series, alarms, findings
from dina_lrm.alignment.monitor.pace import pace


def test_the_paces_of_a_parabola_are_its_slopes():
    proxy = np.array([2.0, 3.0, 5.0, 6.0, 7.0, 8.0])
    found = pace(proxy, 4 + 3 * (proxy - 2) - 0.2 * (proxy - 2) ** 2, share=0.5)
    assert found.first == pytest.approx(3) and found.last == pytest.approx(3 - 0.4 * 6)
    # 3 - .4 x is half of 3 at x = 3.75 from the first record
    assert found.turned == pytest.approx(2 + 3.75) and found.t < -1e6 and found.dropped(1e-6)
    straight = pace(proxy, 4 + 3 * proxy, share=0.5)
    assert straight.first == pytest.approx(straight.last) and straight.t > 1e6 and not straight.dropped(0.4)


@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_the_test_is_that_of_a_contrast_of_least_squares(seed, share):
    rng = np.random.default_rng(seed)
    proxy = np.cumsum(rng.uniform(0.2, 1, 9))
    golden = proxy - 0.05 * proxy**2 + 0.2 * rng.normal(size=9)
    coefficients, covariance = np.polyfit(proxy, golden, 2, cov=True)
    contrast = np.array([2 * (proxy[-1] - share * proxy[0]), 1 - share, 0])
    t = contrast @ coefficients / np.sqrt(contrast @ covariance @ contrast)
    found = pace(proxy, golden, share)
    assert found.t == pytest.approx(t, rel=1e-5, abs=1e-7) and found.points == 9
    level = float(np.clip(student.cdf(t, 6), 1e-9, 1 - 1e-9))
    if found.first > 0:
        assert found.dropped(min(1.01 * level + 1e-6, 1 - 1e-9)) and not found.dropped(0.99 * level - 1e-6 * level)


@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.booleans())
def test_scale_and_shift_of_either_change_nothing(seed, scale, shift, of_golden):
    rng = np.random.default_rng(seed)
    proxy = np.cumsum(rng.uniform(0.2, 1, 8))
    golden = np.log(proxy) + 0.1 * rng.normal(size=8)
    moved = (proxy, scale * golden + shift) if of_golden else (scale * proxy + shift, golden)
    before, after = pace(proxy, golden, 0.5), pace(*moved, 0.5)
    assert after.t == pytest.approx(before.t, rel=1e-4, abs=1e-4)
    assert after.last / after.first == pytest.approx(before.last / before.first, rel=1e-4, abs=1e-4)


def test_too_little_is_no_pace():
    rise = np.arange(8.0)
    assert pace(rise[:4], rise[:4], 0.5) is None
    assert pace(np.where(rise > 3, np.nan, rise), rise, 0.5) is None
    assert pace(np.full(8, 0.1), rise, 0.5) is None
    assert pace(rise % 2, rise, 0.5) is None
    assert pace(np.where(rise == 2, np.nan, rise), rise, 0.5).points == 7


def over(proxy, golden) -> History:
    return History(5.0 * np.arange(len(proxy)), Series(proxy), Series(golden))


def test_a_golden_reward_that_rises_ever_less_lags_and_is_told_since_when():
    proxy = np.linspace(0, 3, 11)
    # As gold over an optimised proxy is (Gao et al.): its pace 1 - p / 3 is half of the first at p = 1.5
    golden = proxy - proxy**2 / 6 + 0.003 * np.random.default_rng(0).normal(size=11)
    first, *more = alarms(over(proxy, golden), AlarmSettings(window=5))
    assert first.kind == "golden lags while proxy rises" and 25 < first.step < 50 and not more
    assert first.since in (20, 25) and "with each unit of the proxy, at first it was 1" in first.sentence
    assert findings(over(proxy, proxy + 0.01 * np.sin(np.arange(11))), AlarmSettings(window=5)) == []


def test_a_pace_that_holds_is_no_alarm_where_both_saturate_or_are_noisy():
    rng, heard, runs = np.random.default_rng(1), 0, 200
    for _ in range(runs):
        rise = 10 * (1 - np.exp(-np.arange(12) / 6))
        proxy, golden = (rise + 0.3 * rng.normal(size=12) for _ in range(2))
        heard += any("lags" in found.kind for found in alarms(over(proxy, golden), AlarmSettings(window=5)))
    # Stated .02
    assert heard / runs <= 0.05


def test_a_least_pace_that_is_no_share_is_refused():
    for share in (0.0, 1.0, -0.5):
        with pytest.raises(ValueError, match="least_pace"):
            AlarmSettings(least_pace=share)
