"""Take the pictures of the studio's page: a real studio in a real browser, in light and dark, wide and narrow.

python scripts/studio_pictures.py
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from dina_lrm.studio.room import load_room
from dina_lrm.studio.server import studio_app
from dina_lrm.studio.settings import StudioSettings
from dina_lrm.synthetic.sets import synthetic_comparisons

FOLDER: Final = Path(__file__).parents[1] / "docs" / "images"
PROMPT: Final = "three small blue squares on white"
WIDTHS: Final = {"wide": 1280, "narrow": 390}
MOST: Final = 1500
"""Pixels of a picture's height: what stands further below is left out."""


@contextmanager
def studio() -> Iterator[str]:
    """The address of a studio of the bundled model."""
    with socket.create_server(("127.0.0.1", 0)) as listening, tempfile.TemporaryDirectory() as uploads:
        app = studio_app(load_room(StudioSettings(), device="cpu"), None, uploads)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


def explained(page: Page, picture: Path, reference: Path) -> None:
    """Fill in the first page, and wait for its answer."""
    fields = page.locator("input[type=file]")
    fields.first.set_input_files(picture)
    page.get_by_role("button", name="Reference, noise").click()
    fields.last.set_input_files(reference)
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_role("button", name="Explain").click()
    page.get_by_role("heading", name="Over noise levels").wait_for()


def main() -> None:
    """Write one picture a width and scheme."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with studio() as url, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        given = [Path(folder, name) for name in ("picture.png", "reference.png")]
        for pixels, file in zip(synthetic_comparisons("in_domain", 4, 0).images, given, strict=False):
            Image.fromarray(pixels).save(file)
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        for name, width in WIDTHS.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                page = context.new_page()
                page.set_default_timeout(120_000)
                page.goto(url)
                explained(page, *given)
                file = FOLDER / f"studio-{name}-{scheme}.png"
                page.screenshot(path=file, full_page=True)
                with Image.open(file) as whole:
                    whole.crop((0, 0, whole.width, min(MOST, whole.height))).convert(
                        "P", palette=Image.Palette.ADAPTIVE
                    ).save(file, optimize=True)
                context.close()
        browser.close()


if __name__ == "__main__":
    main()
