"""The page and its parts as they are sent: files of `page/`, and the colours that all pages of this program share."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from dina_lrm.reports.pages import template_environment
from dina_lrm.reports.theme import DARK, LIGHT, css_variables

PAGE: Final = "/"
_HTML: Final = "annotate.html"
_CSS: Final = "annotate.css"
_SCRIPTS: Final = ("annotate.js", "api.js", "outbox.js", "pictures.js", "ranking.js", "zoom.js")


@dataclass(frozen=True)
class Document:
    """The bytes of a part of the page, and what they are called in HTTP."""

    content: bytes
    media_type: str


def documents() -> dict[str, Document]:
    """Every part of the page, by its path; nothing in them is anybody's: they are sent to whoever asks."""
    found = {f"/{name}": Document(_read(name).encode(), "text/javascript; charset=utf-8") for name in _SCRIPTS}
    found[f"/{_CSS}"] = Document((_colours() + _read(_CSS)).encode(), "text/css; charset=utf-8")
    found[PAGE] = Document(_read(_HTML).encode(), "text/html; charset=utf-8")
    return found


def _colours() -> str:
    template = template_environment().get_template("report.css")
    return template.render(light=css_variables(LIGHT), dark=css_variables(DARK)) + "\n"


def _read(name: str) -> str:
    return (files("dina_lrm.collecting.asking") / "page" / name).read_text(encoding="utf-8")
