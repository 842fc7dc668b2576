"""Pages in a real browser: nothing broken, empty or too wide on a desk or a phone, in light or dark."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure as Plot

from dina_lrm.evaluation.generators.comparison import GeneratorComparison
from dina_lrm.reports.alignment import write_alignment_report
from dina_lrm.reports.blocks import Figure, Section
from dina_lrm.reports.evaluation import write_evaluation_report
from dina_lrm.reports.generators import write_generator_report
from dina_lrm.reports.html import write_report
from dina_lrm.reports.leaderboard import write_leaderboard
from dina_lrm.reports.run import write_run_report
from tests.reports.aligned import aligned_folder
from tests.reports.browser import SCHEMES, WIDTHS, chromium, opened
from tests.reports.simulated import simulated_result
from tests.reports.test_generators import OPTIMISED, result, values
from tests.reports.test_html import pair_images

FAULTS = """() => {
  const marks = "path, use, line, polyline, polygon, rect, circle, image";
  const found = [];
  for (const image of document.images)
    if (!(image.complete && image.naturalWidth)) found.push("broken image " + image.alt);
  for (const part of document.querySelectorAll("details")) part.open = true;
  for (const plot of document.querySelectorAll(".plot")) {
    const drawn = plot.querySelectorAll(".panels [id*=axes_] :is(" + marks + ")").length;
    if (drawn < 10) found.push("empty plot " + plot.textContent.trim());
    for (const panel of plot.querySelectorAll(".panels > svg")) {
      const box = panel.getBoundingClientRect();
      if (box.width < 50 || box.height < 50) found.push("flat plot " + panel.ariaLabel);
    }
  }
  const root = document.documentElement, text = "h1, h2, h3, h4, p, li, dt, dd, figcaption, summary, td, pre";
  for (const part of document.querySelectorAll(text)) {
    const right = part.getBoundingClientRect().right;
    if (!part.closest(".scroll") && right > root.clientWidth + 1) found.push("cut off: " + part.textContent.trim());
  }
  if (root.scrollWidth > root.clientWidth) found.push("page is " + root.scrollWidth + " wide");
  return found;
}"""
REPORTS = ("run", "evaluation", "leaderboard", "alignment", "generators")
CAPTIONS = ["a small red ring on white"] * 3
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 3), dtype=np.uint8)
COLUMN = "number => [...document.querySelectorAll('#board tbody tr')].map(row => row.cells[number].textContent.trim())"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    results = [simulated_result(pairs=60), simulated_result("second model", extra=0.5, pairs=60)]
    record = {"train": {"name": "first", "optimizer": {"lr": 0.0003}}, "data": {"path": "a/long/path" * 12}}
    (folder / "config.json").write_text(json.dumps(record))
    lines = [{"step": step, "loss": 1 / step, "accuracy": 0.5} for step in range(1, 9)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {
        "run": write_run_report(folder, results[:1], pair_images, command="dina-lrm train first " + "--option x " * 30),
        "evaluation": write_evaluation_report(folder / "evaluation.html", results, pair_images),
        "leaderboard": write_leaderboard(folder / "leaderboard.html", results),
        "alignment": write_alignment_report(aligned_folder(folder / "aligned"), "dina-lrm align " + "--option x " * 30),
        "generators": write_generator_report(folder / "generators.html", compared(), CAPTIONS, *PICTURES),
    }


def compared() -> GeneratorComparison:
    given = [OPTIMISED, values("a judge with a long name", 0.3, role="held out"), values("colour", 0.1, "attribute")]
    return replace(result(*given, values("s", 0.0, "measure")), command="dina-lrm evaluate-generator " + "--x y " * 40)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_broken_empty_or_too_wide(browser, pages, name, width, scheme):
    with opened(browser, pages[name], width, scheme) as page:
        verdict = page.locator("header .verdict")
        assert verdict.inner_text().endswith(".") and verdict.bounding_box()["y"] < 200
        assert page.locator("pre", has_text="dina-lrm").count() == 1
        assert page.evaluate(FAULTS) == []
        light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert light == (scheme == "light")


def test_what_is_looked_for_would_be_found(browser, tmp_path):
    page_file = write_report(tmp_path / "page.html", "T", [Section("S", [Figure(Plot(), "nothing drawn")])])
    text = page_file.read_text().replace(
        "</main>", '<img alt="x" src="data:,"><div style="width: 9000px">.</div></main>'
    )
    page_file.write_text(text)
    with opened(browser, page_file) as page:
        kinds = {fault.split()[0] for fault in page.evaluate(FAULTS)}
    assert kinds == {"broken", "empty", "page"}, kinds


def test_panels_stack_on_a_phone_and_a_wide_table_shows_that_it_goes_on(browser, pages):
    lefts = "() => [...document.querySelector('.panels').children].map(panel => panel.getBoundingClientRect().left)"
    for width, columns in (("desktop", 2), ("phone", 1)):
        with opened(browser, pages["evaluation"], width) as page:
            assert len(set(page.evaluate(lefts))) == columns
    with opened(browser, pages["leaderboard"], "phone") as page:
        table = page.locator(".scroll")
        assert table.evaluate("box => box.scrollWidth > box.clientWidth")
        assert "gradient" in table.evaluate("box => getComputedStyle(box).backgroundImage")


def test_a_click_on_a_head_sorts_and_another_turns_round(browser, pages):
    with opened(browser, pages["leaderboard"]) as page:
        head = page.locator("#board thead th").nth(3)
        head.locator("button").click()
        down = [float(text.split("\n")[0][:4]) for text in page.evaluate(COLUMN, 3)]
        assert down == sorted(down, reverse=True) and head.get_attribute("aria-sort") == "descending"
        head.locator("button").click()
        up = [float(text.split("\n")[0][:4]) for text in page.evaluate(COLUMN, 3)]
        assert up == sorted(up) and head.get_attribute("aria-sort") == "ascending"
        assert page.locator("#board th[aria-sort]").count() == 1


def test_text_in_the_filter_hides_the_other_rows(browser, pages):
    with opened(browser, pages["leaderboard"]) as page:
        rows = page.locator("#board tbody tr")
        assert page.locator("#shown").text_content() == f"{rows.count()} of {rows.count()}"
        page.locator("#filter").fill("SECOND")
        assert {row.split()[1] for row in rows.locator("visible=true").all_inner_texts()} == {"second"}
        shown = rows.locator("visible=true").count()
        assert 0 < shown < rows.count() and page.locator("#shown").text_content() == f"{shown} of {rows.count()}"
        page.locator("#filter").fill("")
        assert rows.locator("visible=true").count() == rows.count()


def test_the_keyboard_reaches_filter_and_heads(browser, pages):
    with opened(browser, pages["leaderboard"]) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "filter"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "scroll", "arrows move a table that goes on"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.locator("#board th").first.get_attribute("aria-sort") is not None
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", "the focus is seen"
