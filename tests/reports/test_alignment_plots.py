"""Curves of alignment show every series, their intervals over seeds, and where alarms sounded."""

import numpy as np
import pytest
from scipy.stats import t as student

from dina_lrm.alignment.monitor.alarm import AlarmSettings, History, Series, alarms
from dina_lrm.reports.alignment_plots import alignment_curves, alignment_section
from dina_lrm.reports.drawing import adaptive_svg
from dina_lrm.reports.html import render_report
from dina_lrm.reports.theme import ADAPTIVE, LIGHT
from tests.reports.page import Page


def hacked(seed: int, records: int = 20) -> History:
    """Proxy and golden rise together, then the golden reward falls and a grid appears."""
    rng, at = np.random.default_rng(seed), np.arange(records)
    late = np.maximum(0, at - 8)

    def series(values: np.ndarray, noise: float, spread: float) -> Series:
        return Series(values + noise * rng.normal(size=records), spread)

    return History(
        steps=5.0 * at,
        proxy=series(0.2 * at, 0.1, 1.0),
        golden=series(0.1 * np.minimum(at, 8) - 0.15 * late, 0.1, 1.0),
        utility=series(0.05 * np.minimum(at, 8) - 0.2 * late, 0.05, 1.0),
        measures={
            "grid_energy": series(0.01 + 0.02 * late, 0.002, 0.02),
            "diversity": series(np.full(records, 0.2), 0.005, 0.05),
            "edge_strength": series(np.full(records, 0.4), 0.01, 0.1),
            "colour_entropy": series(np.full(records, 2.0), 0.05, 0.5),
        },
    )


RUNS = {"no regulariser": [hacked(seed) for seed in range(3)], "pretraining loss": [hacked(9).until(9)]}


def test_each_series_has_a_panel_and_each_run_its_mean_and_interval():
    figure = alignment_curves(RUNS, theme=LIGHT)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert titles[:3] == ["Proxy: what is optimised", "Golden reward: held out", "True utility"]
    assert set(titles[3:]) == {"Grid energy", "Diversity", "Edge strength", "Colour entropy, bits"}
    values = np.stack([history.proxy.values for history in RUNS["no regulariser"]])
    (line,) = (line for line in figure.axes[0].lines if line.get_label() == "no regulariser")
    np.testing.assert_allclose(line.get_ydata(), values.mean(axis=0))
    half = student.ppf(0.975, 2) * values.std(axis=0, ddof=1) / 3**0.5
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx((values.mean(axis=0) + half).max())
    assert band[:, 1].min() == pytest.approx((values.mean(axis=0) - half).min())
    assert len(figure.legends) == 1


def test_alarms_stand_in_the_panel_that_gives_them_away_at_their_earliest_step():
    runs = {"run": RUNS["no regulariser"]}
    figure = alignment_curves(runs, theme=LIGHT)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    found = [finding for history in runs["run"] for finding in alarms(history)]
    for title, kinds in (
        ("True utility", ["utility falls while proxy rises"]),
        ("Grid energy", ["grid energy rises"]),
    ):
        words = [text.get_text() for text in panels[title].texts]
        assert f"{kinds[0].replace('grid energy', 'utility').split()[1]} in 3 of 3" in words
        first = min(finding.step for finding in found if finding.kind in kinds)
        assert first in [line.get_xdata()[0] for line in panels[title].lines if len(line.get_xdata()) == 2]
    assert not panels["Proxy: what is optimised"].texts and not panels["Colour entropy, bits"].texts


def test_seeds_that_were_looked_at_at_other_steps_are_put_side_by_side():
    one, other = hacked(0), hacked(1)
    other = History(other.steps + 5, other.proxy)
    (line, *_) = alignment_curves({"run": [one, other]}, theme=LIGHT).axes[0].lines
    assert line.get_xdata().tolist() == (5.0 * np.arange(21)).tolist()
    assert line.get_ydata()[0] == one.proxy.values[0] and line.get_ydata()[-1] == other.proxy.values[-1]
    assert line.get_ydata()[1] == pytest.approx((one.proxy.values[1] + other.proxy.values[0]) / 2)


def test_values_that_are_missing_are_gaps():
    run = hacked(0)
    run.proxy.values[3] = np.nan
    assert len(alignment_curves({"run": [run]}, theme=LIGHT).axes[0].lines[0].get_xdata()) == 19
    with pytest.raises(ValueError, match="no histories"):
        alignment_curves({"run": []})


def test_a_page_holds_the_curves_and_the_alarms_in_words():
    page = Page(render_report("Alignment", [alignment_section(RUNS)]))
    assert page.unclosed == [] and "figure1-axes_7" in page.ids
    for finding in alarms(RUNS["no regulariser"][0]):
        assert finding.sentence in page.text
    calm, window = {"calm": [hacked(0).until(5)]}, AlarmSettings(window=5)
    assert "No alarm sounded." in Page(render_report("Alignment", [alignment_section(calm, window)])).text
    assert "No alarm can sound: there are 5 records." in Page(render_report("A", [alignment_section(calm)])).text


def test_the_drawing_follows_the_readers_colours():
    svg = adaptive_svg(alignment_curves(RUNS, theme=ADAPTIVE), "figure1")
    assert "var(--series-2)" in svg and "#00fe" not in svg
