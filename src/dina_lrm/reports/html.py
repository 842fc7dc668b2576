"""One self-contained HTML page: no script, no link to anything outside, light and dark by the reader's preference.

write_report(path, "Evaluation", [Section("Accuracy", [Text("..."), Table(...), Figure(...)])])
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import jinja2
import numpy as np
from markdown_it import MarkdownIt
from markupsafe import Markup
from PIL import Image

from dina_lrm import __version__
from dina_lrm.reports.blocks import Picture, Section
from dina_lrm.reports.cells import table_cells
from dina_lrm.reports.first.verdicts import Verdict
from dina_lrm.reports.pages import LOSSLESS_UP_TO, data_uri, template_environment, write_page
from dina_lrm.reports.panels import plate
from dina_lrm.reports.theme import DARK, LIGHT, css_variables
from dina_lrm.typed import DinaError

_LARGEST_PICTURE: Final = 384
"""Pixels of a picture's longer side in a page; larger images are reduced."""


def write_report(
    path: Path | str,
    title: str,
    sections: Sequence[Section],
    subtitle: str = "",
    verdict: Verdict | None = None,
    command: str = "",
) -> Path:
    """Write the page to `path`, making its folder, and return the path.

    The verdict stands above all, then the sections; the command that made the page stands at its foot.
    """
    path = Path(path)
    write_page(path, render_report(title, sections, subtitle, verdict, command))
    return path


def render_report(
    title: str, sections: Sequence[Section], subtitle: str = "", verdict: Verdict | None = None, command: str = ""
) -> str:
    """The page as text."""
    return (
        _environment("figure")
        .get_template("report.html.jinja")
        .render(
            title=title,
            subtitle=subtitle,
            sections=sections,
            verdict=verdict,
            command=command,
            version=__version__,
            light=css_variables(LIGHT),
            dark=css_variables(DARK),
        )
    )


def render_part(sections: Sequence[Section], prefix: str, verdict: Verdict | None = None) -> str:
    """Sections alone, as a part of somebody else's page, which carries `part_style`.

    `prefix` makes ids unique in a page that holds several parts.
    """
    return _environment(prefix).get_template("part.html.jinja").render(sections=sections, verdict=verdict)


def part_style(dark: str) -> str:
    """The style of parts of a page, as CSS that reaches nothing else; they are dark inside the selector `dark`."""
    sides = {"light": css_variables(LIGHT), "dark": css_variables(DARK)}
    return template_environment().get_template("part.css").render(inside=dark, **sides)


def _environment(prefix: str) -> jinja2.Environment:
    """Templates with all that blocks are drawn by; `prefix` begins the ids of figures."""
    figures = iter(range(1, 1_000_000))
    environment = template_environment()
    environment.filters.update(
        markdown=_markdown,
        cells=table_cells,
        picture=_picture,
        small=lambda picture: max(_pil(picture.image).size) <= LOSSLESS_UP_TO,
        slug=_slug,
        kind=lambda block: type(block).__name__,
        plate=lambda figure: plate(figure.plot, f"{prefix}{next(figures)}"),
    )
    return environment


def _markdown(text: str) -> Markup:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    return Markup(parser.render(text))


def _picture(picture: Picture) -> str:
    """The image as a data URI."""
    return data_uri(_pil(picture.image), _LARGEST_PICTURE, quality=90)


def _pil(image: np.ndarray | Image.Image) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DinaError(f"picture is {image.dtype} of shape {image.shape}; accepted: uint8 of shape (h, w, 3)")
    return Image.fromarray(image)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
