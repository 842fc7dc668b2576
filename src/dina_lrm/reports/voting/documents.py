"""The page on which people vote, and its parts: files of `page/`, and the colours that all pages here share."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from dina_lrm.reports.pages import template_environment
from dina_lrm.reports.theme import DARK, LIGHT, css_variables

PAGE: Final = "/"
HTML: Final = "annotate.html"
CSS: Final = "annotate.css"
SCRIPTS: Final = ("annotate.js", "api.js", "outbox.js", "pictures.js", "ranking.js", "zoom.js")


@dataclass(frozen=True)
class Document:
    """The bytes of a part of the page, and what they are called in HTTP."""

    content: bytes
    media_type: str


def documents() -> dict[str, Document]:
    """Every part of the page, by its path; nothing in them is anybody's: they are sent to whoever asks."""
    found = {f"/{name}": Document(page_text(name).encode(), "text/javascript; charset=utf-8") for name in SCRIPTS}
    found[f"/{CSS}"] = Document(style().encode(), "text/css; charset=utf-8")
    found[PAGE] = Document(page_text(HTML).encode(), "text/html; charset=utf-8")
    return found


def style() -> str:
    """The style of the page, colours and all."""
    template = template_environment().get_template("report.css")
    colours = template.render(light=css_variables(LIGHT), dark=css_variables(DARK))
    return f"{colours}\n{page_text(CSS)}"


def page_text(name: str) -> str:
    """A file of the page as it lies in the package."""
    return (files("dina_lrm.reports.voting") / "page" / name).read_text(encoding="utf-8")
