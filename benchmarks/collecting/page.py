"""The page of `dina-lrm annotate` in a headless Chromium, on which the parts of this benchmark press keys."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAME: Final = "Ada"
"""Whoever votes."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SWITCHES = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PATIENCE_MS: Final = 1_200_000
"""Until a pair is there, which a generator may have to draw, on a busy machine too."""
_TIMES = "performance.getEntriesByName('vote to next picture').map(each => each.duration)"


def chromium() -> str:
    """The browser on the PATH; without one the benchmark ends."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        sys.exit("no browser; accepted: a Chromium on the PATH")
    return found


@contextmanager
def voting_page(browser: str, address: str) -> Iterator[Page]:
    """The page with its first pair, opened by `NAME`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=list(_SWITCHES), timeout=PATIENCE_MS)
        page = opened.new_page(viewport={"width": 1280, "height": 800}, bypass_csp=True)  # to ask the page by eval
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.get_by_label("Your name").fill(NAME)
        page.keyboard.press("Enter")
        page.wait_for_selector("#vote:not([hidden]) #right img")
        try:
            yield page
        finally:
            opened.close()


def press(page: Page, key: str, number: int) -> None:
    """Press the key of the vote of a number, counted from 0, and wait for the frame that shows the next pair."""
    page.keyboard.press(key)
    page.wait_for_function(f"{_TIMES}.length > {number}")


def all_saved(page: Page) -> None:
    """Wait until the server has confirmed every vote."""
    page.get_by_text("All votes are saved.").wait_for()


def waits(page: Page) -> list[float]:
    """Milliseconds from each key to the frame that shows the next pair, as the page measures them."""
    found: Any = page.evaluate(_TIMES)
    return [float(one) for one in found]
