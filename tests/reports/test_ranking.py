"""The page of a ranking in a browser: what is hidden, what is shown, what is saved; escaped and fit for a phone."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from dina_lrm.reports.ranked.page import write_ranking
from dina_lrm.rewards.scoring.formats import ScoredRow
from dina_lrm.rewards.scoring.ranking import ranking_of
from dina_lrm.rewards.scoring.rows import ScoreRow
from tests.reports.browser import SCHEMES, WIDTHS, chromium, opened
from tests.reports.page import Page
from tests.reports.test_browser import FAULTS

PROMPTS = ["a red ring", "a red ring on white", 'a "blue" <b>cross</b> </script>']
NAMES = [f'{number}, <i>&amp; "x".png' for number in range(12)]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranking")
    rows, scored = [], []
    for number, name in enumerate(NAMES):
        pixels = np.random.default_rng(number).integers(0, 256, (40 + 60 * (number % 4), 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
        prompt = PROMPTS[number % 3]
        rows.append(ScoreRow(name, prompt, folder / name))
        scored.append(ScoredRow(name, prompt, score=float(number)))
    rows.append(ScoreRow("gone.png", "a red ring", folder / "gone.png"))
    scored.append(ScoredRow("gone.png", "a red ring", error="no <such> file"))
    ranking = ranking_of(rows, scored)
    return write_ranking(folder / "page.html", ranking, "a model", ["a note"], "dina-lrm rank " + "f" * 90)


def shown(page):
    return page.eval_on_selector_all(".card", "all => all.filter(card => !card.hidden).map(card => card.dataset.name)")


def test_all_is_in_the_page_and_nothing_is_markup(page_file):
    page = Page(page_file.read_text())
    assert page.unclosed == [] and len(page.images) == 12 and "http" not in page_file.read_text()
    assert page.tags.count("b") == page.tags.count("i") == 0 and page.tags.count("script") == 2
    assert "no <such> file" in page.text and "best 11, <i>" in page.text
    assert all(address.startswith(("data:", "./")) for address in page.addresses)


def test_the_slider_hides_the_lower_share_and_a_prompt_the_others(browser, page_file):
    with opened(browser, page_file) as page:
        assert shown(page) == NAMES[::-1] and page.locator("#shown").text_content() == "12 of 12 shown"
        page.locator("#least").fill("50")
        assert shown(page) == NAMES[:5:-1] and page.locator("#least-told").text_content() == "50 %"
        page.locator("#prompt").fill("A red ring")
        assert shown(page) == [NAMES[9], NAMES[6]], (
            "a prompt that is written whole is that one alone, by its own places"
        )
        page.locator("#least").fill("0")
        assert len(shown(page)) == 4
        page.locator("#prompt").fill("white")
        assert shown(page) == [NAMES[10], NAMES[7], NAMES[4], NAMES[1]]
        page.locator("#prompt").fill("red")
        assert len(shown(page)) == 8


def test_what_is_shown_is_saved(browser, page_file, tmp_path):
    with opened(browser, page_file) as page:
        page.locator("#least").fill("80")
        with page.expect_download() as download:
            page.locator("#export").click()
        download.value.save_as(tmp_path / "saved.csv")
    with (tmp_path / "saved.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["rank"], row["prompt"], float(row["score"])) for row in rows] == [
        (NAMES[11 - place], str(place + 1), PROMPTS[(11 - place) % 3], 11.0 - place) for place in range(3)
    ]
    assert [float(row["percentile"]) for row in rows] == pytest.approx([100, 90.91, 81.82])


def test_a_picture_opens_its_file(browser, page_file):
    with opened(browser, page_file) as page:
        address = page.locator(".card a").first.evaluate("link => link.href")
        assert address == (page_file.parent / NAMES[11]).as_uri()
        assert json.loads(page.locator("#data").text_content())[0] in PROMPTS


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_broken_or_too_wide(browser, page_file, width, scheme):
    with opened(browser, page_file, width, scheme) as page:
        page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        page.wait_for_function("[...document.images].every(image => image.complete)")
        assert page.evaluate(FAULTS) == []
        places = page.eval_on_selector_all(".card", "all => all.map(card => card.getBoundingClientRect().top)")
        assert places.count(places[0]) >= (2 if width == "phone" else 5)
