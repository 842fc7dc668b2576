"""Pages are complete in themselves: no address leads outside, every image opens, every block shows its content."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure as Plot
from PIL import Image

from dina_lrm.evaluation.interval import Interval
from dina_lrm.reports.blocks import (
    Code,
    Facts,
    Figure,
    Headline,
    Headlines,
    ImageGrid,
    ImageRow,
    Picture,
    Section,
    Share,
    Table,
    Text,
)
from dina_lrm.reports.evaluation import evaluation_sections, save_evaluation_plots, write_evaluation_report
from dina_lrm.reports.first.of_evaluation import evaluation_verdict
from dina_lrm.reports.html import render_report, write_report
from dina_lrm.reports.theme import DARK, LIGHT, css_variables
from tests.reports.page import Page
from tests.reports.simulated import simulated_result


def pair_images(name: str, pair: int) -> tuple[np.ndarray, Image.Image]:
    return np.full((8, 8, 3), pair % 256, np.uint8), Image.new("RGB", (600, 300), "teal")


@pytest.fixture(scope="module")
def report() -> str:
    results = [simulated_result(pairs=120), simulated_result("second model", extra=0.5, pairs=120)]
    verdict = evaluation_verdict(results)
    return render_report("E", evaluation_sections(results, pair_images), "A subtitle", verdict, results[0].command)


def test_nothing_in_the_page_leads_outside(report: str) -> None:
    page = Page(report)
    ids = set(page.ids)
    for address in page.addresses:
        assert address.startswith("data:") or (address.startswith("#") and address[1:] in ids), address
    for target in re.findall(r"url\(([^)]*)\)", report):
        assert target.startswith("#") and target[1:] in ids, target
    assert "@import" not in report
    assert "script" not in page.tags


def test_every_image_opens_and_every_tag_closes(report: str) -> None:
    page = Page(report)
    assert page.unclosed == []
    assert len(page.images) == 2 * sum(len(s.disagreements) for s in simulated_result(pairs=120).sets)
    assert {image.size for image in page.images} == {(8, 8), (384, 192)}
    for plot in range(1, 6):
        assert f"figure{plot}-axes_1" in page.ids
    assert "figure6-axes_1" not in page.ids
    assert len(page.ids) == len(set(page.ids))


def test_the_page_says_what_was_measured(report: str) -> None:
    text = Page(report).text
    result = simulated_result(pairs=120)
    for measured in result.tests:
        accuracy = measured.at(result.reference).accuracy
        assert f"{100 * accuracy.accuracy:.1f}" in text
        assert f"({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f})" in text
        assert f"{100 * (measured.ceiling or 0):.1f}" in text
    for needed in ("micro_strict", "Label ties", "Missing", "Bayes ceiling", "seed", result.command, "torch"):
        assert needed in text
    assert "right on 93 % of rendered scenes" in text


def test_both_colour_schemes_are_defined(report: str) -> None:
    light, dark = report.split("@media (prefers-color-scheme: dark)", 1)
    for name, colour in css_variables(LIGHT).items():
        assert f"{name}: {colour};" in light
    for name, colour in css_variables(DARK).items():
        assert f"{name}: {colour};" in dark


def test_all_blocks_and_what_they_hold(tmp_path: Path) -> None:
    plot = Plot()
    plot.add_subplot().plot([0, 1])
    sections = [
        Section(
            "One <b>", [Text("Some **bold** text & `code`.\n\n- item"), Code("a < b"), Facts({"key": "value <i>"})]
        ),
        Section(
            "Two",
            [
                Table(
                    ["Name", "Count", "Share"], [["x", 1234, Share(Interval(0.5, 0.4, 0.6))], ["y", None, 0.25]], "Cap"
                )
            ],
        ),
        Section("Three", [Headlines([Headline("Label", "42 %", "note")]), Figure(plot, "A plot")]),
        Section("Four", [ImageGrid([ImageRow("a red cube", [Picture(np.zeros((4, 4, 3), np.uint8), "c", "good")])])]),
    ]
    page = Page(write_report(tmp_path / "deep" / "r.html", "T", sections).read_text())
    assert page.unclosed == []
    assert {"strong", "code", "li", "table", "svg", "img", "nav", "h1", "h2"} <= set(page.tags)
    for words in (
        "One <b>",
        "a < b",
        "value <i>",
        "1 234",
        "50.0 (40.0 to 60.0)",
        "0.250",
        "\u2013",
        "42 %",
        "A plot",
    ):
        assert words in page.text, words
    assert [address for address in page.addresses if address.startswith("#one")] == ["#one-b"]


def test_text_cannot_bring_in_html_or_foreign_images() -> None:
    page = Page(render_report("t", [Section("s", [Text('<img src="http://x/a.png"> ![a](http://x/b.png) <script>1')])]))
    assert "img" not in page.tags and "script" not in page.tags
    assert not [address for address in page.addresses if "http" in address and "x/" in address and "img" in page.tags]


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)], ids=["float", "no channels"])
def test_a_picture_of_the_wrong_type_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"accepted: uint8 of shape \(h, w, 3\)"):
        render_report("t", [Section("s", [ImageGrid([ImageRow("r", [Picture(bad)])])])])


def test_a_table_with_a_short_row_is_refused() -> None:
    with pytest.raises(ValueError, match="table row 1 has 1 cells for 2 columns"):
        Table(["a", "b"], [[1, 2], [1]])


def test_the_evaluation_report_and_its_plots_are_written(tmp_path: Path) -> None:
    results = [simulated_result(pairs=80)]
    assert write_evaluation_report(tmp_path / "report.html", results).read_text().startswith("<!doctype html>")
    for path in save_evaluation_plots(tmp_path / "plots", results):
        with Image.open(path) as image:
            assert image.size[0] > 300


def test_an_evaluation_on_the_faults_alone_has_a_report(tmp_path: Path) -> None:
    whole = simulated_result(pairs=80)
    faults = tuple(replace(measured, diagnostic_only=True) for measured in whole.sets if measured.diagnostics)
    result = replace(whole, sets=faults)
    assert faults and not result.tests
    page = write_evaluation_report(tmp_path / "report.html", [result]).read_text()
    assert "Faults seen and missed" in page and "Calibration" not in page
    drawn = [path.name for path in save_evaluation_plots(tmp_path / "plots", [result])]
    assert drawn == [f"faults_{measured.name}.png" for measured in faults]
