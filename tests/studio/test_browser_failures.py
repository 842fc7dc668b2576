"""What goes wrong with uploads on a telephone, by keys: each is a sentence, and the page goes on."""

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.studio.pages import seen, visited

pytest.importorskip("gradio")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Gradio's own
]
expect.set_options(timeout=20_000)  # a machine may be busy


@pytest.fixture(scope="module")
def page(browser, url):
    """One page on a telephone for all tests of the file."""
    with visited(browser, url, "phone") as found:
        found.set_default_timeout(20_000)
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Uploads of every kind that cannot be read, and the picture that they are made of."""
    place = tmp_path_factory.mktemp("uploads")
    red = Image.new("RGB", (32, 32), "red")
    red.save(place / "fine.png")
    (place / "empty.png").write_bytes(b"")
    (place / "words.txt").write_text("no picture")
    (place / "torn.png").write_bytes((place / "fine.png").read_bytes()[:60])
    red.resize((2600, 20)).save(place / "long.png")
    (place / "heavy.png").write_bytes(bytes(65 * 2**20))
    return place


def by_keys(page, button):
    page.get_by_role("button", name=button).focus()
    page.keyboard.press("Enter")


UPLOADS = {
    "empty.png": "empty.png: not a readable image: the file is empty",
    "torn.png": "torn.png: not a readable image: ",
    "long.png": "long.png: not a readable image: 2600x20 pixels; accepted: ",
}


@pytest.mark.parametrize("name", UPLOADS)
def test_a_bad_upload_is_a_sentence(page, files, name):
    page.get_by_label("Prompt", exact=True).fill("a ring")
    page.locator("input[type=file]").first.set_input_files(files / name)
    by_keys(page, "Explain")
    expect(page.get_by_role("alert")).to_contain_text(UPLOADS[name])
    seen(page, f"upload-{name}")


@pytest.mark.parametrize(
    ("name", "told"),
    [("words.txt", "Invalid file type"), ("heavy.png", 'maximum allowed size of 64.0 Mb: "heavy.png"')],
)
def test_an_upload_that_the_browser_refuses_is_said_at_once(page, files, name, told):
    page.locator("input[type=file]").first.set_input_files(files / name)
    said = page.get_by_test_id("toast-body").filter(has_text=told)
    expect(said).to_be_visible()
    seen(page, f"refused-{name}")
