"""Plots: every number a reader needs is drawn, in the colours of the theme, and nothing else is touched."""

from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.results import EvaluationResult, SetResult
from dina_lrm.reports import plots, run_plots
from dina_lrm.reports.axes import in_plot
from dina_lrm.reports.drawing import adaptive_svg, save_figure
from dina_lrm.reports.evaluation import save_evaluation_plots
from dina_lrm.reports.theme import ADAPTIVE, DARK, LIGHT, Theme
from tests.reports.simulated import simulated_result

Draw = Callable[[EvaluationResult, Theme], Figure]
DRAWN: dict[str, Draw] = {
    "accuracy_over_noise": lambda result, theme: plots.accuracy_over_noise([result, result], theme),
    "score_histograms": lambda result, theme: plots.score_histograms(result, theme=theme),
    "reliability_diagram": lambda result, theme: plots.reliability_diagram(result, theme=theme),
    "model_bars": lambda result, theme: plots.model_bars([result], theme),
    "diagnostic_plot": lambda result, theme: plots.diagnostic_plot(result.sets[0], theme),
    "training_curves": lambda result, theme: run_plots.training_curves(LOG, ["loss", "accuracy"], theme=theme),
    "image_strips": lambda result, theme: run_plots.image_strips(STRIPS, theme),
}
LOG = [{"step": step, "loss": 1 / (1 + step), "accuracy": None if step == 3 else 0.5} for step in range(50)]
STRIPS = {"a red cube": [(np.full((8, 8, 3), shade, np.uint8), f"{shade}") for shade in (0, 128, 255)], "short row": []}


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    return simulated_result(pairs=120)


@pytest.mark.parametrize("name", DRAWN)
def test_adaptive_drawing_has_no_fixed_colour_and_refers_to_nothing_outside(
    name: str, result: EvaluationResult
) -> None:
    svg = adaptive_svg(DRAWN[name](result, ADAPTIVE), "figure1")
    assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>")
    assert "var(--" in svg
    assert "#00fe" not in svg
    assert "http" not in svg.replace("http://www.w3.org/", "")
    assert "<style" not in svg and "font-family" not in svg
    assert ' id="figure1-' in svg and ' id="figure_1"' not in svg


NAMES = ["x$^$y", "$", "a_<b>&c", "_hidden", "[red]x[/red]", "n" * 300, "two\nlines", "100 %", "{0}", "\\frac{1}{2}"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_model_or_a_set_is_drawn_as_it_is_written(name: str, result: EvaluationResult) -> None:
    sets = tuple(replace(each, name=f"{name} {number}") for number, each in enumerate(result.sets))
    odd, other = replace(result, model=name, sets=sets), replace(result, sets=sets)
    for figure in (plots.accuracy_over_noise([odd, other], ADAPTIVE), plots.model_bars([odd, other], ADAPTIVE)):
        (legend,) = figure.legends
        shown = [text.get_text().strip() for text in legend.get_texts()]
        assert in_plot(name).strip() in shown and len(shown) == len({*shown}) >= 2
        assert max(map(len, shown)) <= 40 and (len(name) > 40 or " ".join(name.split()) in shown)
        assert escape(in_plot(name).strip()) in adaptive_svg(figure, "figure1")


def test_judges_of_sets_that_differ_are_drawn_and_named_all(result: EvaluationResult) -> None:
    other = replace(result, model="other", sets=tuple(replace(one, name=f"{one.name}-quality") for one in result.sets))
    for figure in (plots.accuracy_over_noise([result, other], LIGHT), plots.model_bars([result, other], LIGHT)):
        (legend,) = figure.legends
        assert {"other", in_plot(result.model)} <= {text.get_text() for text in legend.get_texts()}
    panels = plots.accuracy_over_noise([result, other], LIGHT).axes
    assert len({axes.get_title(loc="left") for axes in panels} - {""}) == 2 * len(result.tests)


def test_a_legend_is_never_wider_than_its_figure_and_panels_keep_their_height() -> None:
    def drawn(*names: str) -> Figure:
        figure = plots.accuracy_bars(
            {name: {"in_domain": (0.8, 0.7, 0.9)} for name in names}, {"in_domain": 0.9}, LIGHT
        )
        figure.draw_without_rendering()
        return figure

    short, long = drawn("a", "b", "c"), drawn(*(f"runs/several/models?score={letter * 40}" for letter in "abc"))
    for figure, rows in ((short, 1), (long, 4)):
        (legend,) = figure.legends
        extent = legend.get_window_extent()
        assert extent.x0 >= 0 and extent.x1 <= figure.bbox.x1, "none is cut"
        assert len({round(text.get_window_extent().y0) for text in legend.get_texts()}) == rows
    heights = [figure.axes[0].get_window_extent().height for figure in (short, long)]
    assert heights[1] > 0.95 * heights[0]


def test_judges_of_pixels_alone_have_no_curve_over_noise_and_all_other_plots(
    result: EvaluationResult, tmp_path: Path
) -> None:
    def clean(each: SetResult) -> SetResult:
        return replace(each, readings=(replace(each.readings[0], reading=Reading(())),))

    plain = replace(result, sets=tuple(clean(each) for each in result.sets), reference=Reading(()))
    written = save_evaluation_plots(tmp_path, [plain, replace(plain, model="other")])
    assert {path.name for path in written} >= {"models.png", "score_histograms.png", "reliability.png"}
    assert not (tmp_path / "accuracy_over_noise.png").exists()
    (axes, *_) = plots.accuracy_over_noise([plain, plain], LIGHT).axes
    assert not axes.lines or not axes.get_legend_handles_labels()[0]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_a_saved_plot_is_a_picture_on_the_paper_of_its_theme(
    theme: Theme, result: EvaluationResult, tmp_path: Path
) -> None:
    save_figure(plots.accuracy_over_noise([result], theme), tmp_path / "new" / "plot.png")
    with Image.open(tmp_path / "new" / "plot.png") as opened:
        image = np.asarray(opened.convert("RGB"))
    paper = tuple(int(theme.paper[i : i + 2], 16) for i in (1, 3, 5))
    assert tuple(image[0, 0]) == paper
    assert (image != paper).any(axis=2).mean() > 0.01


def test_accuracies_and_ceilings_are_drawn_where_they_belong(result: EvaluationResult) -> None:
    figure = plots.accuracy_over_noise([result], LIGHT)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "In domain", "Unseen compositions", "Unseen defects", "Generated",
    ]  # fmt: skip
    for axes, measured in zip(figure.axes, result.tests, strict=True):
        single = [r for r in measured.readings if not r.reading.is_ensemble]
        (line,) = (line for line in axes.lines if line.get_label() == result.model)
        np.testing.assert_allclose(line.get_xdata(), [r.reading.levels[0] for r in single])
        np.testing.assert_allclose(line.get_ydata(), [r.accuracy.accuracy for r in single])
        low, high = axes.get_ylim()
        assert low < min(r.accuracy.low for r in measured.readings)
        assert high > (measured.ceiling or 0)


def test_reliability_is_drawn_against_labels_and_against_the_truth(result: EvaluationResult) -> None:
    figure = plots.reliability_diagram(result, theme=LIGHT)
    for axes, measured in zip(figure.axes, result.tests, strict=True):
        reading = measured.at(result.reference)
        assert reading.truth is not None
        for name, bins in (("labels", reading.calibration.bins), ("true probability", reading.truth.bins)):
            (line,) = (line for line in axes.lines if line.get_label() == name)
            np.testing.assert_allclose(line.get_xdata(), [row.confidence for row in bins])
            np.testing.assert_allclose(line.get_ydata(), [row.outcome for row in bins])
    assert figure.legends


def test_names_of_several_ensembles_stand_upright(result: EvaluationResult) -> None:
    sets = tuple(
        replace(s, readings=(*s.readings, replace(s.readings[-1], reading=Reading((0.2, 0.5))))) for s in result.sets
    )
    for axes in plots.accuracy_over_noise([replace(result, sets=sets)], LIGHT).axes:
        labels = axes.get_xticklabels()
        assert [label.get_text() for label in labels[-2:]] == ["0.2+0.5+0.7", "0.2+0.5"]
        assert [label.get_rotation() for label in labels[-3:]] == [0, 90, 90]


def test_bars_start_at_chance_and_end_at_the_accuracy(result: EvaluationResult) -> None:
    (axes,) = plots.model_bars([result], LIGHT).axes
    tops = [bar.get_y() + bar.get_height() for bar in axes.patches]
    expected = [s.at(result.reference).accuracy.accuracy for s in result.tests]
    np.testing.assert_allclose(tops, expected)
    assert axes.get_ylim()[0] == 0.5


def test_bars_below_chance_hang_down() -> None:
    (axes,) = plots.accuracy_bars({"worse": {"a": (0.4, 0.3, 0.5)}}, {"a": None}, LIGHT).axes
    (bar,) = axes.patches
    assert bar.get_y() + bar.get_height() == pytest.approx(0.4)
    assert axes.get_ylim()[0] < 0.3


def test_values_that_were_not_logged_are_gaps_and_unknown_measures_say_so() -> None:
    figure = run_plots.training_curves(LOG, ["accuracy", "speed"], theme=LIGHT)
    assert len(figure.axes[0].lines[0].get_xdata()) == 49
    assert [text.get_text() for text in figure.axes[1].texts] == ["not recorded"]


def test_a_noisy_curve_gets_a_running_mean_and_a_schedule_does_not() -> None:
    noise = np.random.default_rng(0).normal(size=100)
    log = [{"step": step, "noisy": noise[step], "rate": min(step / 50, 1.0)} for step in range(100)]
    noisy, rate = run_plots.training_curves(log, ["noisy", "rate"], theme=LIGHT).axes
    assert len(noisy.lines) == 2
    assert len(rate.lines) == 1


def test_the_callers_own_matplotlib_settings_are_left_alone(result: EvaluationResult) -> None:
    before = dict(mpl.rcParams)
    adaptive_svg(plots.score_histograms(result), "figure1")
    assert dict(mpl.rcParams) == before
