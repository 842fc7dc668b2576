"""The page in a real browser: keys, buttons and touch vote; nothing is lost when the server is away."""

import contextlib
import time

import pytest

from dina_lrm.collecting.asking.job import served
from tests.collecting.asking.pages import settings_of
from tests.reports.browser import SCHEMES, WIDTHS, chromium

pytestmark = pytest.mark.slow
TOKEN = "a-token-of-many-letters"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@contextlib.contextmanager
def page_of(browser, address, width="desktop", scheme="light", **more):
    """The page, its faults listed in `page.faults`."""
    size = {"width": WIDTHS[width], "height": 844 if width == "phone" else 800}
    context = browser.new_context(viewport=size, color_scheme=scheme, **more)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(address)
    try:
        yield page
    finally:
        context.close()
    assert not page.faults, page.faults


def begin(page, name="Ada"):
    page.get_by_label("Your name").fill(name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#vote:not([hidden]) #right img")


def votes(collection, count):
    """Wait until so many votes stand; their answers."""
    for _ in range(3000):
        found = collection.store.votes()
        if len(found) == count:
            return [vote.answer if vote.answer not in ("a", "b") else vote.answer == vote.left for vote in found]
        time.sleep(0.01)
    raise AssertionError(f"{len(found)} votes, not {count}")


def test_keys_vote_skip_and_undo(browser, tmp_path):
    with served(settings_of(tmp_path)) as (address, collection), page_of(browser, address) as page:
        begin(page)
        for key in ("1", "ArrowRight", "0", "b"):
            page.keyboard.press(key)
            page.wait_for_selector("#vote:not([hidden])")
        page.keyboard.press("s")
        page.keyboard.press("2")
        assert votes(collection, 5) == [True, False, "tie", "both_bad", "skip"]
        assert collection.store.votes()[-1].reason == "broken"
        page.keyboard.press("u")
        votes(collection, 4)
        page.keyboard.press("z")
        assert page.locator("#zoom").get_attribute("aria-pressed") == "true"
        page.keyboard.press("ArrowLeft")
        assert votes(collection, 5)[-1] is True
        page.get_by_text("5 votes of 300").wait_for()


def test_votes_wait_in_the_browser_while_nobody_answers(browser, tmp_path):
    with served(settings_of(tmp_path)) as (address, collection), page_of(browser, address) as page:
        begin(page)
        page.wait_for_timeout(300)
        page.context.set_offline(True)
        for _ in range(3):
            page.keyboard.press("1")
            page.wait_for_timeout(100)
        page.wait_for_selector("#notice:not([hidden])")
        assert "3 votes wait in this browser" in page.locator("#notice").inner_text()
        assert collection.votes == 0
        page.context.set_offline(False)
        votes(collection, 3)
        page.get_by_text("All votes are saved.").wait_for()
        page.reload()
        page.wait_for_selector("#vote:not([hidden]) #right img")
        page.keyboard.press("u")
        votes(collection, 2)


def test_the_end_is_said_and_the_last_vote_can_be_taken_back(browser, tmp_path):
    with served(settings_of(tmp_path, 2)) as (address, collection), page_of(browser, address) as page:
        begin(page)
        page.keyboard.press("2")
        page.wait_for_selector("#done:not([hidden])")
        assert "everything there is to ask" in page.locator("#done-told").inner_text()
        page.keyboard.press("u")
        page.wait_for_selector("#vote:not([hidden]) #right img")
        votes(collection, 0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_phone_shows_both_pictures_and_all_buttons_and_a_token_opens_the_page(browser, tmp_path, scheme):
    (tmp_path / "token").write_text(TOKEN)
    with (
        served(settings_of(tmp_path, token_file=tmp_path / "token")) as (address, collection),
        page_of(browser, address, "phone", scheme, has_touch=True, is_mobile=True) as page,
    ):
        begin(page)
        assert TOKEN not in page.url
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= WIDTHS["phone"]
        for part in ("#left img", "#right img", "[data-answer=tie]", "#skip-open", "#undo"):
            box = page.locator(part).bounding_box()
            assert box["width"] > 40 and box["height"] > 30 and box["y"] + box["height"] <= 844, part
        page.locator("[data-answer=right]").tap()
        assert votes(collection, 1) == [False]


def test_every_control_is_reached_by_the_keyboard(browser, tmp_path):
    with served(settings_of(tmp_path)) as (address, collection), page_of(browser, address) as page:
        begin(page)
        page.keyboard.press("1")
        votes(collection, 1)
        seen = set()
        for _ in range(20):
            page.keyboard.press("Tab")
            seen.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.answer || ''"))
        shown = "[...document.querySelectorAll('main button, footer button')].filter(one => one.offsetParent)"
        wanted = page.evaluate(f"{shown}.map(one => one.id || one.dataset.answer)")
        assert set(wanted) <= seen and len(wanted) >= 8
