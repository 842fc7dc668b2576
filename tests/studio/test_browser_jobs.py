"""Works that take long, in a real browser: a run is watched that goes on, and what it made is drawn and judged.

One alignment of the bundled world is begun in another process: the page watches it grow, and its LoRA is then compared.
"""

import re
import subprocess

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.reports.browser import WIDTHS
from tests.studio.pages import seen, visited

pytest.importorskip("gradio")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Gradio's own
]
expect.set_options(timeout=400_000)  # a machine may be busy
RUN = (
    "align refl synthetic --prompts synthetic --steps 24 --batch-size 2 --micro-batch 2 --generator.sampling-steps 4 "
    "--refl.first 2 --refl.last 3 --looks.every 4 --looks.prompts 4 --looks.images 1 --checkpoint-every 24 "
    "--generator.rank 2 --lr 1e-2 --quiet"
).split()


@pytest.fixture(scope="module")
def running(warm_programs, tmp_path_factory):
    """An alignment that goes on, and its folder."""
    folder = tmp_path_factory.mktemp("aligned") / "run"
    with subprocess.Popen([str(warm_programs / "dina-lrm"), *RUN, "--out", str(folder)]) as process:
        yield process, folder
        process.kill()


@pytest.fixture(scope="module")
def tuned(running):
    """The folder of the alignment, once it has ended."""
    process, folder = running
    assert process.wait(400) == 0
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of four pictures."""
    place, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name in ("before", "after"):
        (place / name).mkdir()
        for number in range(4):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(place / name / f"{number}.png")
    return place


def both_widths(page, name):
    """What is seen at both widths, and back to the first."""
    for width in ("phone", "desktop"):
        page.set_viewport_size({"width": WIDTHS[width], "height": 900})
        page.wait_for_timeout(300)  # plots and rows find their new places
        seen(page, f"{name}-{width}")


def to_generators(page, tuned, prompts):
    """The tab in which a base is compared with its LoRA, filled in at the width at which all tabs are seen."""
    page.get_by_role("tab", name="Am I being hacked").click()
    page.get_by_role("tab", name="A base and a LoRA").click()
    page.get_by_label("Run, LoRA or other generator").fill(str(tuned))
    page.get_by_label(re.compile("^number input for Prompts")).fill(str(prompts))


def test_what_is_no_lora_is_a_sentence_on_a_telephone(browser, url, tmp_path):
    with visited(browser, url) as page:
        to_generators(page, "", 4)
        page.set_viewport_size({"width": WIDTHS["phone"], "height": 900})
        page.get_by_role("button", name="Draw and compare").click()
        expect(page.get_by_role("alert")).to_contain_text("tuned generator: none was given")
        page.get_by_label("Run, LoRA or other generator").fill(str(tmp_path / "nowhere"))
        page.get_by_label("Run, LoRA or other generator").press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("nowhere")
        seen(page, "no-lora-phone-light")


def points(page) -> int:
    """Points of all curves that are shown."""
    return page.locator(".part .plot use").count()


def test_a_run_grows_while_it_is_watched(browser, url, running):
    process, folder = running
    with visited(browser, url) as page:
        page.get_by_role("tab", name="A run, live").click()
        page.get_by_label("Folder of a run").fill(str(folder))
        page.get_by_role("button", name="Watch").click()
        page.locator(".part .plot use:visible").first.wait_for()
        first = points(page)
        assert process.poll() is None, "it is watched while it goes on"
        page.wait_for_function("first => document.querySelectorAll('.part .plot use').length > first", arg=first)
        both_widths(page, "live-light")
        assert process.wait(400) == 0
        expect(page.locator(".part .verdict:visible")).not_to_contain_text("looked at once")
        assert page.locator(".part .picture img:visible, .part img:visible").count() > 0


def test_a_base_and_its_lora_are_drawn_and_judged_by_keys_alone(browser, url, tuned):
    with visited(browser, url, scheme="dark") as page:
        to_generators(page, tuned, 4)
        page.get_by_role("button", name="Draw and compare").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".part.work:visible")).to_contain_text(re.compile("Reads what|Pictures drawn, base"))
        page.get_by_role("button", name="Stop").wait_for()
        expect(page.locator(".part .verdict:visible, .problem:visible")).to_contain_text("pairs")
        assert page.get_by_role("button", name="Stop").count() == 0
        expect(page.locator(".part:visible")).to_contain_text("image:synthetic")
        expect(page.locator(".part:visible")).to_contain_text("8 pairs")
        both_widths(page, "lora-dark")


def test_a_work_is_stopped_by_keys_and_another_waits_until_then(browser, url, room, tuned, folders):
    with visited(browser, url) as page, visited(browser, url, scheme="dark") as other:
        to_generators(page, tuned, 200)
        page.get_by_role("button", name="Draw and compare").click()
        now = page.locator(".part.work:visible")
        expect(now).to_contain_text(re.compile(r"Pictures drawn, base [1-9]\d* of 400"))
        bar = now.get_by_role("progressbar")
        assert 0 < int(bar.get_attribute("value")) <= int(bar.get_attribute("max")) == 400
        other.get_by_role("tab", name="Am I being hacked").click()
        for side in ("before", "after"):
            other.get_by_label(f"Folder of pictures {side}").fill(str(folders / side))
        other.get_by_role("button", name="Compare folders").click()
        expect(other.locator(".part.work:visible")).to_contain_text("Waits: “Draw and compare” goes on")
        both_widths(page, "work-light")
        both_widths(other, "waits-dark")
        page.get_by_role("button", name="Draw and compare").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        told = page.get_by_role("alert")
        expect(told).to_contain_text(re.compile(r"^Stopped\. Done until then: pictures drawn, base \d+ of 400"))
        other.locator(".part .verdict:visible").wait_for()
        assert page.get_by_role("button", name="Stop").count() == 0 and room.bench.works == ()


def test_who_closes_the_page_stops_its_work(browser, url, room, tuned):
    with visited(browser, url) as page:
        to_generators(page, tuned, 200)
        page.get_by_role("button", name="Draw and compare").click()
        page.get_by_role("button", name="Stop").wait_for()
        [work] = room.bench.works
    assert work.wait(60) and work.told().stopping
