"""The studio in a real browser: it loads, reads uploads, explains and refuses, wide and narrow, light and dark."""

import json
import re
import signal
import subprocess
from dataclasses import replace
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from dina_lrm.collecting.asking.job import open_collection
from dina_lrm.studio.settings import StudioSettings
from dina_lrm.synthetic.sets import synthetic_comparisons
from tests.reports.aligned import aligned_folder
from tests.reports.browser import WIDTHS
from tests.studio.pages import seen, studio, visited

pytest.importorskip("gradio")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Gradio's own
]
expect.set_options(timeout=400_000)  # a machine may be busy
PROMPT = "two large red rings on white"
TOKEN = "a-token-of-many-letters"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two folders of the same names, of which the second is noisy; a file that is no picture."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name in ("before", "after"):
        (folder / name).mkdir()
    for number, pixels in enumerate(synthetic_comparisons("in_domain", 8, 0).images[:8]):
        Image.fromarray(pixels).save(folder / "before" / f"{number}.png")
        noisy = np.clip(pixels + rng.normal(0, 30, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "after" / f"{number}.png")
    (folder / "bad.png").write_text("no picture")
    return folder


def explain(page, file, prompt=PROMPT):
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_role("button", name="Explain").click()


@pytest.mark.parametrize(("width", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_a_score_is_explained(browser, url, files, width, scheme):
    with visited(browser, url, width, scheme) as page:
        explain(page, files / "before" / "0.png", "a <b>red</b> ring ${1+1} {{x}} on white")
        page.get_by_role("heading", name="Over noise levels").wait_for()
        pictures = page.locator(".part .picture img")
        assert pictures.count() == 3
        assert all(pictures.nth(n).evaluate("image => image.complete && image.naturalWidth > 0") for n in range(3))
        assert page.locator(".part td").count() > 10 and page.locator(".part .plot path").count() > 10
        assert "a <b>red</b> ring ${1+1} {{x}} on white" in page.locator(".part h4").first.inner_text()
        assert (seen(page, f"why-{width}-{scheme}").mean() < 110) == (scheme == "dark")


@pytest.mark.parametrize(("width", "scheme"), [("desktop", "dark"), ("phone", "light")])
def test_what_is_wrong_is_a_sentence_and_the_page_goes_on(browser, url, files, width, scheme):
    with visited(browser, url, width, scheme) as page:
        page.get_by_role("button", name="Explain").click()
        told = page.get_by_role("alert")
        expect(told).to_contain_text("none was given")
        explain(page, files / "bad.png")
        expect(told).to_have_text(re.compile(r"^bad\.png: not a readable image"))
        assert (seen(page, f"problem-{width}-{scheme}").mean() < 110) == (scheme == "dark")


def test_every_tab_is_reached_by_keys_and_answers(browser, url, files, tmp_path):
    """Two folders compared, surprises found, a run watched that goes on while it is looked at."""
    folder = aligned_folder(tmp_path / "run")
    with visited(browser, url) as page:
        page.get_by_role("tab", name="Am I being hacked").focus()
        page.keyboard.press("Enter")
        page.get_by_label("Folder of pictures before").fill(str(files / "before"))
        page.get_by_label("Folder of pictures after").fill(str(files / "nowhere"))
        page.get_by_role("button", name="Compare folders").click()
        expect(page.get_by_role("alert")).to_contain_text("no such folder")
        page.get_by_label("Folder of pictures after").fill(str(files / "after"))
        page.get_by_role("button", name="Compare folders").click()
        expect(page.locator(".part .verdict")).to_contain_text("sharpness")
        page.get_by_role("heading", name="Texture spectrum").wait_for()
        seen(page, "hacked-desktop-light")
        page.get_by_role("tab", name="Surprising pairs").click()
        page.get_by_label("Pairs at most").first.fill("40")
        page.get_by_role("button", name="Find surprises").click()
        page.get_by_role("heading", name="In numbers").wait_for()
        seen(page, "surprising-desktop-light")
        page.get_by_role("tab", name="A run, live").click()
        page.get_by_label("Folder of a run").fill(str(folder))
        page.get_by_role("button", name="Watch").click()
        expect(page.locator(".part .verdict:visible")).to_contain_text("12 prompts")
        seen(page, "run-desktop-light")
        lines = (folder / "monitor.jsonl").read_text().splitlines(keepends=True)
        (folder / "monitor.jsonl").write_text(lines[0])
        expect(page.locator(".part .verdict:visible")).to_contain_text("looked at once")


def test_people_vote_in_a_tab_wide_and_narrow(browser, room, files, tmp_path):
    asked = StudioSettings(annotate=str(files / "before"), votes=tmp_path / "votes.sqlite").collecting
    with open_collection(asked) as collection, studio(replace(room, collection=collection)) as address:
        with visited(browser, address) as page:
            page.get_by_role("tab", name="Annotate").click()
            inside = page.frame_locator("iframe")
            inside.get_by_label("Your name").fill("Ada")
            inside.get_by_role("button", name="Begin").click()
            for width in ("desktop", "phone"):
                page.set_viewport_size({"width": WIDTHS[width], "height": 900})
                before = collection.votes
                inside.get_by_role("button", name="1: the first picture is better").click()
                while collection.votes == before:
                    page.wait_for_timeout(100)
                seen(page, f"annotate-{width}-light")
        assert collection.votes == 2


def test_with_a_token_the_page_is_behind_it(browser, room):
    with studio(room, TOKEN) as address, visited(browser, address) as page:
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("tab", name="Why this score").wait_for()


def test_the_command_says_where_it_is_and_ends_by_a_signal(warm_programs, tmp_path):
    words = [str(warm_programs / "dina-lrm"), "studio", "--port", "0", "--device", "cpu", "--json", "r.json"]
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = running.stdout.readline()
    assert line.startswith("studio at http://127.0.0.1:"), line + running.stderr.read()
    with urlopen(line.split()[2]) as answer:
        assert b"DiNa-LRM studio" in answer.read()
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=120)
    assert running.returncode == 0 and json.loads((tmp_path / "r.json").read_text()) == {"model": "synthetic"}
