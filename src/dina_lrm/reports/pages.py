"""What all pages share: their templates' environment, and pictures that stand inside of them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Final

import jinja2
from PIL import Image

from dina_lrm.runs.files import write_text
from dina_lrm.runs.ownership import check_page

_SIGN: Final = "Written by dina-lrm"
"""At the foot of every page."""
LOSSLESS_UP_TO: Final = 128
"""Small images are stored as PNG and enlarged without smoothing, so that every pixel shows."""


def template_environment() -> jinja2.Environment:
    """Read the templates of this package: all but Markdown is escaped, and a name that is missing is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("dina_lrm.reports"),
        autoescape=lambda name: name is None or not name.endswith(".md.jinja"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def check_page_place(path: Path) -> None:
    """Raise FileExistsError where a page would be written over something that is none of ours."""
    check_page(path, _SIGN)


def write_page(path: Path, page: str) -> None:
    """Put a page where there is none, or an earlier one of this program, making its folder.

    Raises FileExistsError for anything else that lies there.
    """
    check_page(path, _SIGN)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def data_uri(image: Image.Image, largest: int, quality: int) -> str:
    """An RGB image as a data URI: small ones as they are, others as JPEG, at most `largest` pixels on a side."""
    buffer = io.BytesIO()
    if max(image.size) <= LOSSLESS_UP_TO:
        image.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        reduced = image.copy()
        reduced.thumbnail((largest, largest), Image.Resampling.LANCZOS)
        reduced.save(buffer, "JPEG", quality=quality)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
