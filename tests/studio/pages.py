"""A studio that answers, for tests in a browser: in this process, on a free port.

With STUDIO_PICTURES=FOLDER what is seen is kept there, to be looked at.
"""

import io
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.reports.browser import WIDTHS

WIDE = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"


@contextmanager
def studio(room, token: str | None = None) -> Iterator[str]:
    """The address of the pages of a room; skipped where Gradio is not installed."""
    pytest.importorskip("gradio")
    import uvicorn

    from dina_lrm.studio.server import studio_app

    with socket.create_server(("127.0.0.1", 0)) as listening, tempfile.TemporaryDirectory() as uploads:
        server = uvicorn.Server(uvicorn.Config(studio_app(room, token, uploads), log_level="warning", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(30)


@contextmanager
def visited(browser: Browser, url: str, width: str = "desktop", scheme: str = "light") -> Iterator[Page]:
    """The studio at one of `WIDTHS` in one of the schemes; nothing may be asked of another server, or break."""
    size = {"width": WIDTHS[width], "height": 900}
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page, strange, broken = context.new_page(), [], []
    own = (url, "data:", "blob:")
    page.on("request", lambda asked: strange.append(asked.url) if not asked.url.startswith(own) else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.set_default_timeout(400_000)
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert not strange and not broken, (strange, broken)


def seen(page, name: str) -> np.ndarray:
    """The whole page as pixels, which may scroll down and not sideways; a page that shows nothing has few colours."""
    total, shown = page.evaluate(WIDE)
    assert total <= shown, f"{total} wide in a window of {shown}"
    content = page.screenshot(full_page=True)
    if folder := os.environ.get("STUDIO_PICTURES"):
        (Path(folder) / f"{name}.png").write_bytes(content)
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100 and pixels.std() > 5
    return pixels
