"""The page that is a file: nobody is told which is which, and what is saved comes into a store as it was chosen."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dina_lrm.collecting.exchange.formats import import_file
from dina_lrm.data.votes import VoteStore
from dina_lrm.reports.blind_vote import VotePair, save_vote_pairs, write_blind_vote
from tests.reports.browser import chromium, opened
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


def data_of(file: Path) -> dict:
    return json.loads(file.read_text().split('id="data">')[1].split("</script>")[0])


def shown(page) -> tuple[int, str]:
    """Number of the pair that is shown, and which of its pictures, a or b, stands on the left."""
    page.wait_for_selector("#vote:not([hidden]) #right img")
    number = PROMPTS.index(page.locator("#prompt").text_content())
    script = """() => [...document.querySelectorAll(".frame img")].map(image => {
        const canvas = new OffscreenCanvas(32, 32).getContext("2d");
        canvas.drawImage(image, 0, 0);
        return [...canvas.getImageData(0, 0, 32, 32).data];
    })"""
    left, right = (np.array(each, np.uint8).reshape(32, 32, 4)[..., :3] for each in page.evaluate(script))
    a_left = np.array_equal(left, IMAGES_A[number])
    expected = (IMAGES_A, IMAGES_B) if a_left else (IMAGES_B, IMAGES_A)
    assert np.array_equal(left, expected[0][number]) and np.array_equal(right, expected[1][number])
    return number, "a" if a_left else "b"


def joined(page, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#vote:not([hidden]) #right img")


def saved(page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator("#save").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_the_page_is_complete_in_itself(page_file):
    text = page_file.read_text()
    page = Page(text)
    assert page.unclosed == [] and all(address.startswith("data:") for address in page.addresses)
    assert "http:" not in text and "https:" not in text and "import {" not in text and "export " not in text
    assert text.count("</script>") == 2, "a prompt cannot end the script"
    assert write_blind_vote(page_file, [VotePair("a", *sorted((page_file.parent / "images").iterdir())[:2])])
    page_file.write_text("notes of somebody")
    with pytest.raises(FileExistsError):
        write_blind_vote(page_file, [VotePair("a", *sorted((page_file.parent / "images").iterdir())[:2])])


@pytest.mark.parametrize("seed", [0, 1])
def test_sides_and_order_are_a_function_of_the_seed(tmp_path, seed):
    pairs = save_vote_pairs(tmp_path / "images", PROMPTS * 10, IMAGES_A.repeat(10, 0), IMAGES_B.repeat(10, 0))
    texts = [write_blind_vote(tmp_path / f"{n}.html", pairs, seed=s).read_text() for n, s in enumerate((seed, seed, 2))]
    assert texts[0] == texts[1] != texts[2]
    data = data_of(tmp_path / "0.html")
    assert 15 < sum(pair["side"] == "b" for pair in data["pairs"]) < 45
    assert len(data["pictures"]) == 12, "each picture once"
    numbers = [int(pair["id"]) for pair in data["pairs"]]
    assert sorted(numbers) == list(range(60)) and numbers != list(range(60))


def test_votes_outlive_the_page_and_come_into_a_store_with_sides_put_right(browser, page_file):
    """Each answer once, by key or click; one vote is taken back and given again, another after the page was left."""
    keys = {"left": "ArrowLeft", "right": "2", "tie": "ArrowDown", "both_bad": "b"}
    answers, wanted = ["left", "right", "tie", "both_bad", "skip", "left"], {}
    with opened(browser, page_file) as page:
        said = page.locator("body").inner_text()
        assert "base" not in said and "tuned" not in said, "nothing says which is which"
        joined(page, "Ada")
        assert page.locator("#save").is_disabled()
        page.keyboard.press("1")
        page.get_by_text("1 vote of 6").wait_for()
        page.keyboard.press("u")
        page.get_by_text("0 votes of 6").wait_for()
        for count, answer in enumerate(answers):
            number, left = shown(page)
            wanted[PROMPTS[number]] = {"left": left, "right": "ab"[left == "a"]}.get(answer, answer), left
            if answer == "skip":
                page.keyboard.press("s")
                page.keyboard.press("1")
            elif count == 5:
                page.locator("[data-answer=left]").click()
            else:
                page.keyboard.press(keys[answer])
            page.get_by_text(f"{count + 1} vote{'s' * (count > 0)} of 6").wait_for()
            if count == 2:
                page.reload()
                page.get_by_text("3 votes of 6").wait_for()
        page.wait_for_selector("#done:not([hidden])")
        tally = page.locator("#tally dd").all_text_contents()
        chosen = [answer for answer, _ in wanted.values()]
        assert tally == [f"{chosen.count(answer)} of 6" for answer in ("a", "b", "tie", "both_bad", "skip")]
        assert "stay in this browser" in page.locator("#saved").inner_text()
        path = saved(page, page_file.parent)
    with VoteStore.open(page_file.parent / "votes.sqlite") as store:
        come = import_file(store, path, "page")
        assert (come.read, come.recorded) == (6, 6) and import_file(store, path, "page").known == 6
        pairs = {pair.id: pair for pair in store.pairs()}
        for vote in store.votes():
            pair = pairs[vote.pair]
            number = PROMPTS.index(pair.prompt)
            side_of_a = "a" if store.picture(pair.image_a) == files_of(page_file, number)[0].read_bytes() else "b"
            called = {side_of_a: "a", "ab"[side_of_a == "a"]: "b"}
            assert (called.get(vote.answer, vote.answer), called[vote.left]) == wanted[pair.prompt] and vote.ms >= 0


def files_of(page_file: Path, number: int) -> list[Path]:
    return [page_file.parent / "images" / f"{number:04d}-{side}.png" for side in "ab"]


def test_a_phone_shows_it_all_in_the_dark(browser, page_file):
    with opened(browser, page_file, "phone", "dark") as page:
        joined(page, "Ada")
        assert page.evaluate(FAULTS) == []
        boxes = [page.locator(f"#{side} img").bounding_box() for side in ("left", "right")]
        assert boxes[0]["width"] == boxes[1]["width"] > 120
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_files_of_other_formats_are_shown_alike_and_faults_are_refused(tmp_path):
    Image.new("RGB", (1500, 900), "teal").save(tmp_path / "a.png")
    Image.new("RGB", (1500, 900), "navy").save(tmp_path / "b.webp")
    files = (tmp_path / "a.png", tmp_path / "b.webp")
    path = write_blind_vote(tmp_path / "vote.html", [VotePair("a", *files)])
    data = data_of(path)
    assert [kind for kind, _ in data["pictures"].values()] == ["image/jpeg", "image/jpeg"]
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
