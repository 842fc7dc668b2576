"""The blind page: nobody is told which is which, and what is saved is what was chosen, sides put right."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dina_lrm.data.sources import read_comparisons
from dina_lrm.images import png_bytes
from dina_lrm.reports.blind_vote import VotePair, save_vote_pairs, write_blind_vote
from tests.reports.browser import SCHEMES, WIDTHS, chromium, opened
from tests.reports.page import Page
from tests.reports.test_browser import FAULTS

PROMPTS = [f"a small red ring, number {number} </script>" for number in range(6)]
RNG = np.random.default_rng(0)
IMAGES_A, IMAGES_B = RNG.integers(0, 256, (2, 6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def page_file(tmp_path) -> Path:
    pairs = save_vote_pairs(tmp_path / "images", PROMPTS, IMAGES_A, IMAGES_B)
    return write_blind_vote(tmp_path / "vote.html", pairs, ("base", "tuned"), seed=3)


def shown(page, side: str) -> np.ndarray:
    data = page.locator(f"#{side}-image").get_attribute("src").split(",", 1)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def sides(page) -> tuple[int, str]:
    """Number of the pair that is shown, and the side that A stands on."""
    number = PROMPTS.index(page.locator("#prompt").text_content())
    left, right = shown(page, "left"), shown(page, "right")
    a_left = np.array_equal(left, IMAGES_A[number])
    expected = (IMAGES_A, IMAGES_B) if a_left else (IMAGES_B, IMAGES_A)
    assert np.array_equal(left, expected[0][number]) and np.array_equal(right, expected[1][number])
    return number, "left" if a_left else "right"


def saved(page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator("#save").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def reloaded(page, count: str) -> bool:
    """Whether the page, opened again, has so many votes; a starved browser hands its storage on late."""
    for _ in range(10):
        page.reload()
        if page.locator("#count").text_content() == count:
            return True
        page.wait_for_timeout(300)
    return False


def test_the_page_is_complete_in_itself(page_file):
    text = page_file.read_text()
    blank = f'src="data:image/png;base64,{base64.b64encode(png_bytes(Image.new("RGB", (1, 1)))).decode()}"'
    page = Page(text.replace("<img ", f"<img {blank} "))  # the script fills them in
    assert page.unclosed == [] and page.tags.count("button") == 6
    assert all(address.startswith("data:") for address in page.addresses)
    assert "http" not in text
    assert text.count("</script>") == 2, "a prompt cannot end the script"


@pytest.mark.parametrize("seed", [0, 1])
def test_sides_and_order_are_a_function_of_the_seed(tmp_path, seed):
    pairs = save_vote_pairs(tmp_path / "images", PROMPTS * 10, IMAGES_A.repeat(10, 0), IMAGES_B.repeat(10, 0))
    texts = [write_blind_vote(tmp_path / f"{n}.html", pairs, seed=s).read_text() for n, s in enumerate((seed, seed, 2))]
    assert texts[0] == texts[1] != texts[2]
    data = json.loads(texts[0].split('id="data">')[1].split("</script>")[0])
    swapped = [pair["swapped"] for pair in data["pairs"]]
    assert 15 < sum(swapped) < 45
    numbers = [pair["number"] for pair in data["pairs"]]
    assert sorted(numbers) == list(range(60)) and numbers != list(range(60))


def test_votes_are_saved_as_comparisons_with_sides_put_right(browser, page_file):
    """A wins the even pairs by a click, B the odd ones by a key, the last shown is a tie."""
    wanted = {}
    with opened(browser, page_file) as page:
        stood = set()
        for count in range(6):
            assert page.locator("#count").text_content() == f"{count} of 6"
            assert page.locator("#bar").get_attribute("max") == "6" and page.evaluate("bar.value") == count
            number, side_of_a = sides(page)
            stood.add(side_of_a)
            other = {"left": "right", "right": "left"}[side_of_a]
            if count == 5:
                page.keyboard.press("ArrowDown")
                wanted[number] = 0.5
            elif number % 2 == 0:
                page.locator(f"#{side_of_a}").click()
                wanted[number] = 1.0
            else:
                page.keyboard.press(f"Arrow{other.capitalize()}")
                wanted[number] = 0.0
        assert stood == {"left", "right"}
        assert not page.locator("#vote").is_visible() and page.locator("#done").is_visible()
        tally = page.locator("#tally dd").all_text_contents()
        values = list(wanted.values())
        assert tally == [f"{values.count(value)} of 6" for value in (1.0, 0.0, 0.5)]
        path = saved(page, page_file.parent)
    found = list(read_comparisons(path))
    assert [comparison.prompt for comparison in found] == PROMPTS
    assert {number: comparison.preference for number, comparison in enumerate(found)} == wanted
    for number, comparison in enumerate(found):
        assert np.array_equal(np.asarray(Image.open(comparison.image_a)), IMAGES_A[number])
        assert np.array_equal(np.asarray(Image.open(comparison.image_b)), IMAGES_B[number])
        assert comparison.votes == 1 and comparison.source.startswith("blind vote")
    assert len({comparison.pair_id for comparison in found}) == 6


def test_nothing_says_which_is_which_before_the_end(browser, page_file):
    with opened(browser, page_file) as page:
        said = page.locator("body").inner_text()
        assert "base" not in said and "tuned" not in said


def test_votes_outlive_the_page_and_can_be_taken_back(browser, page_file):
    with opened(browser, page_file) as page:
        assert page.locator("#undo").is_disabled() and page.locator("#save").is_disabled()
        first, _ = sides(page)
        page.keyboard.press("ArrowLeft")
        second, _ = sides(page)
        page.keyboard.press("ArrowRight")
        third, _ = sides(page)
        assert reloaded(page, "2 of 6") and sides(page)[0] == third
        page.keyboard.press("ArrowUp")
        assert sides(page)[0] == second
        page.keyboard.press("Control+ArrowLeft")
        assert page.locator("#count").text_content() == "1 of 6"
        rows = [json.loads(line) for line in saved(page, page_file.parent).read_text().splitlines()]
        assert [row["prompt"] for row in rows] == [PROMPTS[first]]
        page.on("dialog", lambda dialog: dialog.accept())
        page.locator("#clear").click()
        assert page.locator("#count").text_content() == "0 of 6" and sides(page)[0] == first


def test_all_can_be_reached_with_the_keyboard(browser, page_file):
    with opened(browser, page_file) as page:
        for wanted in ("left", "right", "tie"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.id") == wanted
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        page.keyboard.press("Enter")
        assert page.locator("#count").text_content() == "1 of 6"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_broken_or_too_wide(browser, page_file, width, scheme):
    with opened(browser, page_file, width, scheme) as page:
        page.locator("#left-image.small").wait_for()
        assert page.evaluate(FAULTS) == []
        boxes = [page.locator(f"#{side}-image").bounding_box() for side in ("left", "right")]
        assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["width"] == boxes[1]["width"] > 120
        assert boxes[0]["y"] + boxes[0]["height"] < 900, "both are seen without scrolling"


def test_files_of_other_formats_are_shown_alike_and_faults_are_refused(tmp_path):
    Image.new("RGB", (1500, 900), "teal").save(tmp_path / "a.png")
    Image.new("RGB", (1500, 900), "navy").save(tmp_path / "b.webp")
    files = (tmp_path / "a.png", tmp_path / "b.webp")
    path = write_blind_vote(tmp_path / "vote.html", [VotePair("a", *files)])
    data = json.loads(path.read_text().split('id="data">')[1].split("</script>")[0])
    for side in ("left", "right"):
        assert data["pairs"][0][side].startswith("data:image/jpeg;base64,")
    assert (data["pairs"][0]["image_a"], data["pairs"][0]["image_b"]) == ("a.png", "b.webp")
    for prompt in ("", "  ", "\ud800", "a\0b"):
        with pytest.raises(ValueError, match=r"write_blind_vote: pair 1: prompt"):
            write_blind_vote(tmp_path / "odd.html", [VotePair("a", *files), VotePair(prompt, *files)])
    assert not (tmp_path / "odd.html").exists()
    with pytest.raises(ValueError, match="no pairs"):
        write_blind_vote(path, [])
    with pytest.raises(FileNotFoundError, match="no such image file"):
        write_blind_vote(path, [VotePair("a", tmp_path / "a.png", tmp_path / "none.png")])
    with pytest.raises(ValueError, match="6 prompts, 5 and 6 images"):
        save_vote_pairs(tmp_path, PROMPTS, IMAGES_A[:5], IMAGES_B)
