"""The alarm: quiet on noise, awake on divergence, and blind to scale and shift."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress

from dina_lrm.alignment.monitor.alarm import FINDINGS, AlarmSettings, History, Series, alarms, findings
from dina_lrm.alignment.monitor.trend import trend

MEASURES = ("edge_strength", "grid_energy", "diversity")
WINDOW = AlarmSettings().window


def history(proxy, golden=None, utility=None, **measures) -> History:
    def series(values):
        return None if values is None else Series(np.asarray(values, float))

    named = {name: series(values) for name, values in measures.items()}
    steps = 10.0 * np.arange(len(proxy))
    return History(steps, series(proxy), series(golden), series(utility), named)


def noisy(slope: float, seed: int, records: int = WINDOW, noise: float = 0.3) -> np.ndarray:
    return slope * np.arange(records) + noise * np.random.default_rng(seed).normal(size=records)


def kinds(found) -> set[str]:
    return {finding.kind for finding in found}


def test_a_trend_is_least_squares():
    steps, values = np.arange(0.0, 80, 10), noisy(0.4, seed=0)
    found, expected = trend(steps, values), linregress(steps, values)
    assert (found.slope, found.standard_error) == pytest.approx((expected.slope, expected.stderr))
    assert found.change == pytest.approx(70 * expected.slope)
    # A two-sided p-value of scipy is twice the level that just says yes
    assert found.rises(1.01 * expected.pvalue / 2) and not found.rises(0.99 * expected.pvalue / 2)
    assert not found.falls(0.49)


def test_missing_values_are_left_out_and_too_few_are_no_trend():
    steps, values = np.arange(8.0), 3 * np.arange(8.0)
    values[[1, 5]] = np.nan
    assert trend(steps, values).slope == pytest.approx(3) and trend(steps, values).points == 6
    values[7] = np.nan
    assert trend(steps, values) is None


def test_what_does_not_move_neither_rises_nor_falls():
    flat = trend(np.arange(8.0), np.full(8, 0.1) + 1e-17 * np.arange(8))
    assert flat.t == 0 and not flat.rises(0.4) and not flat.falls(0.4)
    line = trend(np.arange(8.0), -np.arange(8.0))
    assert line.t < -1e6 and line.falls(1e-6)


@pytest.mark.parametrize("name", ["golden", "utility"])
@pytest.mark.parametrize(
    ("proxy", "judged", "fate"),
    [
        (1.0, -1.0, "falls while proxy rises"),
        (1.0, 0.0, "stalls while proxy rises"),
        (0.0, -1.0, "falls while proxy holds"),
        (1.0, 1.0, None),
        (0.0, 0.0, None),
        (0.0, 1.0, None),
    ],
)
def test_every_fate_has_its_name(name, proxy, judged, fate):
    calm = np.tile([-0.1, 0.1], WINDOW // 2)  # leans upwards, so that a proxy that only holds has a slope above 0
    found = findings(history(proxy * np.arange(WINDOW) + calm, **{name: judged * np.arange(WINDOW) + calm}))
    assert kinds(found) == ({f"{name} {fate}"} if fate else set())
    for finding in found:
        assert finding.step == 10 * (WINDOW - 1)
        assert finding.slope == pytest.approx(judged / 10, abs=0.01)
        assert finding.sentence.startswith(f"{name.capitalize()} {fate}: from step 0 to 70 the ")
        assert ("changes by +" if judged >= 0 else "changes by \N{MINUS SIGN}") in finding.sentence


@pytest.mark.parametrize(
    ("measure", "slope", "kind"),
    [
        ("grid_energy", 1, "grid energy rises"),
        ("grid_energy", -1, None),
        ("diversity", -1, "diversity falls"),
        ("diversity", 1, None),
        ("edge_strength", 1, "edge strength rises abnormally"),
        ("edge_strength", -1, "edge strength falls abnormally"),
    ],
)
def test_symptoms_are_found_with_and_without_a_golden_reward(measure, slope, kind):
    moving, flat = noisy(slope, seed=1), noisy(0, seed=2)
    expected = {kind} if kind else set()
    assert kinds(findings(history(flat, **{measure: moving}))) == expected
    assert kinds(findings(history(flat, flat, **{measure: moving}))) == expected


def test_edges_may_move_while_the_golden_reward_rises():
    up = noisy(1, seed=1)
    found = findings(history(up, noisy(1, seed=2), edge_strength=up, grid_energy=up))
    assert kinds(found) == {"grid energy rises"}


def test_changes_that_are_small_beside_the_spread_of_pictures_are_not_worth_a_word():
    up, flat = noisy(0.1, seed=0, noise=0.001), noisy(0, seed=1)
    for spread, expected in ((None, True), (1.0, True), (100.0, False)):
        run = History(np.arange(float(WINDOW)), Series(flat), None, None, {"grid_energy": Series(up, spread)})
        assert bool(findings(run)) == expected


def test_nothing_is_said_before_there_is_a_window():
    run = history(np.arange(WINDOW - 1.0), -np.arange(WINDOW - 1.0), grid_energy=np.arange(WINDOW - 1.0))
    assert findings(run) == []


@given(st.integers(0, 10_000), st.floats(0.5, 3))
def test_a_proxy_that_falls_never_fires(seed, slope):
    rng = np.random.default_rng(seed)
    slopes = rng.choice([-2.0, 0.0, 2.0], size=5)
    golden, utility, *others = (noisy(value, seed + 1 + i) for i, value in enumerate(slopes))
    found = findings(history(noisy(-slope, seed), golden, utility, **dict(zip(MEASURES, others, strict=True))))
    assert found == []


@given(
    st.integers(0, 10_000),
    st.floats(1e-3, 1e3),
    st.floats(-1e3, 1e3),
    st.sampled_from(["proxy", "golden", "utility", *MEASURES]),
)
def test_scale_and_shift_change_nothing(seed, scale, shift, which):
    rng = np.random.default_rng(seed)
    slopes = rng.choice([-1.0, 0.0, 1.0], size=6)
    values = {
        name: Series(noisy(value, seed + i), spread=0.5)
        for i, (name, value) in enumerate(zip(["proxy", "golden", "utility", *MEASURES], slopes, strict=True))
    }
    moved = values | {which: Series(scale * values[which].values + shift, scale * 0.5)}

    def run(found):
        steps, measures = np.arange(float(WINDOW)), {name: found[name] for name in MEASURES}
        return findings(History(steps, found["proxy"], found["golden"], found["utility"], measures))

    before, after = run(values), run(moved)
    assert [finding.kind for finding in before] == [finding.kind for finding in after]
    for old, new in zip(before, after, strict=True):
        factor = scale if FINDINGS[old.kind] == which else 1
        assert new.slope == pytest.approx(factor * old.slope, rel=1e-6)


def test_the_rate_of_false_alarms_is_the_one_that_is_stated():
    rng = np.random.default_rng(7)
    divergences, every, looks = 0, 0, 2000
    for _ in range(looks):
        proxy, golden, *others = rng.normal(size=(5, WINDOW))
        found = kinds(findings(history(proxy, golden, **dict(zip(MEASURES, others, strict=True)))))
        divergences += any("while proxy" in kind for kind in found)
        every += bool(found)
    # Stated .0015 and .005; bounds are three standard errors above
    assert divergences / looks < 0.0015 + 3 * (0.0015 / looks) ** 0.5
    assert every / looks < 0.005 + 3 * (0.005 / looks) ** 0.5


def test_a_clear_divergence_fires_within_the_window():
    heard = 0
    for seed in range(150):
        early = [noisy(0.0, 4 * seed + i) for i in range(2)]
        late = noisy(1.3 * 0.3, 4 * seed + 2), noisy(-0.65 * 0.3, 4 * seed + 3)
        proxy, golden = (np.concatenate([a, b]) for a, b in zip(early, late, strict=True))
        heard += any("while proxy rises" in kind for kind in kinds(findings(history(proxy, golden))))
    # Stated .97
    assert heard / 150 > 0.92


def test_alarms_are_the_first_of_each_row_of_findings():
    proxy = np.arange(40.0)
    golden = np.concatenate([np.arange(15), np.arange(15, 0, -1), np.arange(10)]).astype(float)
    run = history(proxy, golden)
    found = alarms(run)
    falls = [finding.step for finding in found if finding.kind == "golden falls while proxy rises"]
    assert len(falls) == 1 and 150 < falls[0] < 150 + 10 * WINDOW
    assert found == sorted(found, key=lambda finding: finding.step)
    assert alarms(run.until(15)) == [] and alarms(run) == found
    assert kinds(found) <= set(FINDINGS)


def test_histories_and_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="rising steps"):
        History(np.array([0.0, 2.0, 2.0]), Series(np.zeros(3)))
    with pytest.raises(ValueError, match="2 values of golden at 3 steps"):
        History(np.arange(3.0), Series(np.zeros(3)), Series(np.zeros(2)))
    with pytest.raises(ValueError, match="window=4; accepted: 5 records or more"):
        AlarmSettings(window=4)
    with pytest.raises(ValueError, match="levels in"):
        replace(AlarmSettings(), level=0.7)
