"""The page as one file that opens anywhere, with no server: its pairs lie in it, its votes come back as a file.

It is the page that `annotate` serves, word for word: `alone.js` stands in the place of `api.js`. Scripts are modules,
and a browser loads none from beside a file, so they are put into one, each with a scope of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from dina_lrm import __version__
from dina_lrm.reports.voting.documents import CSS, SCRIPTS, page_text, style

_IMPORT: Final = re.compile(r'^import \{(?P<names>[^}]*)\} from "\./(?P<file>[\w.]+)";$', re.M)
_EXPORT: Final = re.compile(r"^export (?=(?:const|class) (?P<name>\w+))", re.M)
_API: Final = "api.js"
_ALONE: Final = "alone.js"


def page_alone(data: Mapping[str, Any]) -> str:
    """The page as text; `alone.js` reads `data`: id, title, names, question, pairs, and pictures by their keys."""
    page = page_text("annotate.html")
    told = json.dumps(data).replace("<", "\\u003c")
    style_tag, script_tag = f'<link rel="stylesheet" href="{CSS}">', '<script type="module" src="annotate.js"></script>'
    assert style_tag in page and script_tag in page
    page = page.replace(style_tag, f"<style>\n{style()}</style>").replace(script_tag, "")
    page = page.replace("<footer><div>", f"<footer><div>Written by dina-lrm {__version__}. ")
    data_tag = f'<script type="application/json" id="data">{told}</script>'
    return page.replace("</body>", f'{data_tag}\n<script type="module">\n{bundled()}</script>\n</body>')


def bundled() -> str:
    """All scripts as one, without a server; one is put in behind those that it imports."""
    texts = {name: page_text(_ALONE if name == _API else name) for name in SCRIPTS}
    order: list[str] = []
    while len(order) < len(texts):
        order += [name for name, text in texts.items() if name not in order and _imports(text) <= {*order}]
    return "".join(_in_scope(name, texts[name]) for name in order)


def _imports(text: str) -> set[str]:
    return {found["file"] for found in _IMPORT.finditer(text)}


def _in_scope(name: str, text: str) -> str:
    names = ", ".join(found["name"] for found in _EXPORT.finditer(text))
    body = _EXPORT.sub("", _IMPORT.sub(lambda found: f"const {{{found['names']}}} = {_called(found['file'])};", text))
    return f"const {_called(name)} = (() => {{\n{body}\nreturn {{{names}}};\n}})();\n"


def _called(file: str) -> str:
    return f"{file.removesuffix('.js')}_js"
